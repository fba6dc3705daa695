//! Records of tracepoints from the text that tracefs has about them (`events/CATEGORY/EVENT/format`).
//!
//! ```text
//!  field:char prev_comm[16]; offset:8; size:16; signed:0;
//!  field:__data_loc char[] name; offset:24; size:4; signed:0;
//! ```

use std::sync::Arc;

use super::{Composite, Member, Space, Type};

/// The record that a text describes. Types are what the text says: bytes and sign of integers; pointers into the process
/// where `user` is set (system calls), else into the kernel. Lines that are no fields are passed over.
pub fn parse(event: &str, text: &str, user: bool) -> Composite {
    let members: Vec<Member> = text.lines().filter_map(|line| member(line, user)).collect();
    let end = |member: &Member| member.offset.saturating_add(size(&member.ty));
    let size = members.iter().map(end).max().unwrap_or(0);
    Composite { name: event.into(), size, align: 8, members }
}

fn size(ty: &Type) -> u32 {
    match ty {
        Type::Array(element, count) => size(element).saturating_mul(*count),
        Type::Text(len) => *len,
        other => other.scalar().map_or(0, |scalar| scalar.0.into()),
    }
}

fn member(line: &str, user: bool) -> Option<Member> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let (mut offset, mut bytes, mut signed) = (None, None, false);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", number)) => offset = number.parse::<u32>().ok(),
            Some(("size", number)) => bytes = number.parse::<u32>().ok(),
            Some(("signed", number)) => signed = number == "1",
            _ => {}
        }
    }
    let (offset, bytes) = (offset?, bytes?);
    let space = if user { Space::User } else { Space::Kernel };
    let (of, last) = declaration.rsplit_once(|c: char| c.is_whitespace() || c == '*')?;
    let (name, count) = match last.split_once('[') {
        Some((name, count)) => (name, Some(count.trim_end_matches(']'))),
        None => (last, None),
    };
    let pointer = declaration[..declaration.len() - last.len()].trim_end().ends_with('*');
    let indirect = of.trim_start().starts_with("__data_loc");
    let ty = if indirect {
        if of.contains("char") { Type::Text(0) } else { Type::U32 }
    } else if pointer {
        let to = if of.contains("char") { Type::int(1, true) } else { Type::Void };
        to.pointer(space)
    } else if let Some(count) = count {
        array(of, count, bytes, signed)
    } else {
        integer(bytes, signed).unwrap_or_else(|| Type::Array(Arc::new(Type::int(1, false)), bytes))
    };
    Some(Member { name: name.into(), ty, offset, bits: None, indirect })
}

fn array(of: &str, count: &str, bytes: u32, signed: bool) -> Type {
    if of.trim_end().ends_with("char") && !of.contains("unsigned") {
        return Type::Text(bytes);
    }
    // The length may be the name of a constant; then the element's size is that of its type.
    let number = count.parse::<u32>().ok().filter(|&number| number > 0);
    let element = number
        .and_then(|number| integer(bytes / number, signed))
        .or_else(|| super::named(of.trim()))
        .unwrap_or(Type::int(1, false));
    let each = size(&element).max(1);
    Type::Array(Arc::new(element), bytes / each)
}

fn integer(bytes: u32, signed: bool) -> Option<Type> {
    match bytes {
        1 | 2 | 4 | 8 => Some(Type::int(u8::try_from(bytes).ok()?, signed)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: sys_enter_openat\nID: 640\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n\
        \tfield:char comm[16];\toffset:32;\tsize:16;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:48;\tsize:4;\tsigned:0;\n\
        \tfield:__data_loc char[] name;\toffset:52;\tsize:4;\tsigned:0;\n\nprint fmt: \"x\"\n";

    #[test]
    fn fields_of_a_record() {
        let record = parse("sys_enter_openat", TEXT, true);
        let find = |name: &str| record.members.iter().find(|member| &*member.name == name).unwrap();
        assert_eq!(find("common_pid").ty, Type::int(4, true));
        assert_eq!(find("filename").ty, Type::int(1, true).pointer(Space::User));
        assert_eq!((find("filename").offset, record.size), (24, 52));
        assert_eq!(find("comm").ty, Type::Text(16));
        assert_eq!(find("saddr").ty, Type::Array(Arc::new(Type::int(1, false)), 4));
        assert!(find("name").indirect);
        assert_eq!(record.members.len(), 6);
    }

    #[test]
    fn any_text_gives_a_record() {
        for text in
            ["field:;offset:1;size:1", "field:x;offset:a;size:9", "field:int a[0];offset:0;size:0;", "field:é*;;"]
        {
            let _ = parse("x", text, false);
        }
    }
}
