//! Records of tracepoints as tracefs describes them (`events/CATEGORY/EVENT/format`,
//! Documentation/trace/events.rst), which has no type information of its own.
//!
//! ```text
//!  field:char prev_comm[16]; offset:8; size:16; signed:0;
//!  field:__data_loc char[] name; offset:24; size:4; signed:0;
//! ```

/// A field of the record of a tracepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceField<'t> {
    /// The type as it is declared, without the brackets of an array: `const char *`.
    pub declared: &'t str,
    /// Its name.
    pub name: &'t str,
    /// What stands between the brackets of an array: a number, or the name of a constant.
    pub count: Option<&'t str>,
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Whether its numbers have a sign.
    pub signed: bool,
}

/// The fields that a format has, in its order. Lines that are no fields are passed over.
pub fn trace_fields(format: &str) -> impl Iterator<Item = TraceField<'_>> {
    format.lines().filter_map(TraceField::parse)
}

impl<'t> TraceField<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let mut parts = line.trim().split(';').map(str::trim);
        let declaration = parts.next()?.strip_prefix("field:")?;
        let (mut offset, mut size, mut signed) = (None, None, false);
        for part in parts {
            match part.split_once(':') {
                Some(("offset", number)) => offset = number.parse().ok(),
                Some(("size", number)) => size = number.parse().ok(),
                Some(("signed", number)) => signed = number == "1",
                _ => {}
            }
        }
        let (_, last) = declaration.rsplit_once(|c: char| c.is_whitespace() || c == '*')?;
        let declared = declaration[..declaration.len() - last.len()].trim();
        let (name, count) = match last.split_once('[') {
            Some((name, count)) => (name, Some(count.trim_end_matches(']'))),
            None => (last, None),
        };
        Some(Self { declared, name, count, offset: offset?, size: size?, signed })
    }

    /// Whether it is a pointer.
    pub fn is_pointer(&self) -> bool {
        self.declared.ends_with('*')
    }

    /// Whether it is the word that says where the value is: offset in the lower half, length in the upper half.
    pub fn is_indirect(&self) -> bool {
        self.declared.starts_with("__data_loc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let format = "name: x\nID: 640\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
                      \tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n\
                      \tfield:void *at;\toffset:32;\tsize:8;\tsigned:0;\n\
                      \tfield:char comm[TASK_LEN];\toffset:40;\tsize:16;\tsigned:0;\n\
                      \tfield:__data_loc char[] name;\toffset:56;\tsize:4;\tsigned:0;\n\nprint fmt: \"x\"\n";
        let fields: Vec<_> = trace_fields(format).collect();
        let shown: Vec<_> = fields.iter().map(|field| (field.declared, field.name, field.count)).collect();
        assert_eq!(
            shown,
            [
                ("int", "common_pid", None),
                ("const char *", "filename", None),
                ("void *", "at", None),
                ("char", "comm", Some("TASK_LEN")),
                ("__data_loc char[]", "name", None)
            ]
        );
        assert_eq!((fields[0].offset, fields[0].size, fields[0].signed), (4, 4, true));
        assert!(fields[1].is_pointer() && fields[2].is_pointer() && !fields[4].is_pointer() && fields[4].is_indirect());
    }

    #[test]
    fn any_text_is_read() {
        let texts =
            ["field:;offset:1;size:1", "field:x;offset:a;size:9", "field:int a[0];offset:0;size:0;", "field:é*;;"];
        assert_eq!(texts.map(|text| trace_fields(text).count()), [0, 0, 1, 0]);
    }
}
