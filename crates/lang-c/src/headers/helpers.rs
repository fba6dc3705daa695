//! `bpf_helper_defs.h`, made from the table of helpers.

use std::fmt::Write;

use skep_isa::helpers::{HELPERS, Helper};

// TABLE
/// Types of the kernel in the prototypes, with what programs see instead.
const SEEN: &[(&str, &str)] = &[
    ("struct sk_buff", "struct __sk_buff"),
    ("struct xdp_buff", "struct xdp_md"),
    ("struct bpf_map", "void"),
    ("struct sk_msg_buff", "struct sk_msg_md"),
    ("struct sk_reuseport_kern", "struct sk_reuseport_md"),
    ("struct bpf_sock_addr_kern", "struct bpf_sock_addr"),
    ("struct bpf_sock_ops_kern", "struct bpf_sock_ops"),
    ("struct bpf_sysctl_kern", "struct bpf_sysctl"),
];

/// Helpers that take different contexts in different programs: their pointers have no type.
const UNTYPED: &[&str] = &["get_socket_cookie", "sk_assign"];

/// Declarations of helpers as constant pointers to functions whose addresses are their numbers, behind those of the
/// structures that they mention.
pub(super) fn definitions(wanted: impl Fn(&Helper) -> bool) -> String {
    let mut lines = String::new();
    for helper in HELPERS.iter().filter(|helper| wanted(helper)) {
        let untyped = UNTYPED.contains(&helper.name);
        if let Some(line) = declaration(helper.prototype, helper.name, helper.id, untyped) {
            lines.push_str(&line);
        }
    }
    let mut out = String::new();
    for name in structures(&lines) {
        let _ = writeln!(out, "struct {name};");
    }
    out + &lines
}

/// The prototype as a constant pointer.
fn declaration(prototype: &str, name: &str, id: u32, untyped: bool) -> Option<String> {
    let open = prototype.find('(')?;
    let (head, args) = prototype.split_at(open);
    let result = head.strip_suffix(name)?.strip_suffix("bpf_")?;
    let args = args.strip_prefix('(')?.strip_suffix(')')?;
    let args: Vec<String> = args.split(',').map(|arg| seen(arg.trim(), untyped)).collect();
    Some(format!("static {}(* const bpf_{name})({}) = (void *) {id};\n", seen(result, false), args.join(", ")))
}

/// A type as programs have it: words of the kernel's own types get their underscores.
fn seen(text: &str, untyped: bool) -> String {
    let mut text = text.to_owned();
    for (kernel, program) in SEEN {
        text = replace_word(&text, kernel, program);
    }
    for word in ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "be16", "be32", "wsum"] {
        text = replace_word(&text, word, &format!("__{word}"));
    }
    if untyped && let Some(star) = text.find('*') {
        text = format!("void {}", &text[star..]);
    }
    text
}

/// Replaces where no letter, digit or underscore is next to it.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let whole = !part(before.chars().next_back()) && !part(after.chars().next());
        out.push_str(before);
        out.push_str(if whole { by } else { word });
        rest = after;
    }
    out + rest
}

/// Structures that declarations mention, which have to be declared before.
fn structures(lines: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut words = lines.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word == "struct"
            && let Some(name) = words.next().filter(|name| !names.contains(name))
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_helper_is_declared() {
        let text = definitions(|_| true);
        assert_eq!(text.matches("static ").count(), HELPERS.len());
        assert!(
            text.contains("static void *(* const bpf_map_lookup_elem)(void *map, const void *key) = (void *) 1;\n")
        );
        assert!(text.contains("static __u64 (* const bpf_ktime_get_ns)(void) = (void *) 5;\n"));
    }
}
