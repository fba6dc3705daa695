//! Records of tracepoints from the text that tracefs has about them ([`skep_btf::trace_fields`]).

use std::sync::Arc;

use skep_btf::{TraceField, trace_fields};

use super::{Composite, Member, Space, Type};

/// The record that a text describes. Types are what the text says: bytes and sign of integers; pointers into the process
/// where `user` is set (system calls), else into the kernel. Lines that are no fields are passed over.
pub fn parse(event: &str, text: &str, user: bool) -> Composite {
    let members: Vec<Member> = trace_fields(text).map(|field| member(&field, user)).collect();
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

fn member(field: &TraceField<'_>, user: bool) -> Member {
    let space = if user { Space::User } else { Space::Kernel };
    let is_text = field.declared.contains("char");
    let ty = if field.is_indirect() {
        if is_text { Type::Text(0) } else { Type::U32 }
    } else if field.is_pointer() {
        let to = if is_text { Type::int(1, true) } else { Type::Void };
        to.pointer(space)
    } else if let Some(count) = field.count {
        array(field.declared, count, field.size, field.signed)
    } else {
        integer(field.size, field.signed).unwrap_or_else(|| Type::Array(Arc::new(Type::int(1, false)), field.size))
    };
    Member { name: field.name.into(), ty, offset: field.offset, bits: None, indirect: field.is_indirect() }
}

fn array(of: &str, count: &str, bytes: u32, signed: bool) -> Type {
    if of.ends_with("char") && !of.contains("unsigned") {
        return Type::Text(bytes);
    }
    // The length may be the name of a constant; then the element's size is that of its type.
    let number = count.parse::<u32>().ok().filter(|&number| number > 0);
    let element = number
        .and_then(|number| integer(bytes / number, signed))
        .or_else(|| super::named(of))
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
