//! Words of the language: keywords, names that are never types, words of C types; and what was probably meant by a word
//! that is none of them.

/// Words that cannot be names of macros, functions or constants.
pub const KEYWORDS: &[&str] = &[
    "break", "comptime", "continue", "else", "enum", "false", "for", "if", "import", "let", "macro", "offsetof",
    "return", "sizeof", "struct", "true", "typeinfo", "typeof", "union", "unroll", "while",
];

/// Words that begin a statement, for suggestions.
pub const STATEMENTS: &[&str] = &["break", "continue", "for", "if", "let", "return", "unroll", "while"];

/// Words that begin something at the top of a script, for suggestions.
pub const ITEMS: &[&str] = &["config", "enum", "fn", "import", "let", "macro", "struct", "union"];

/// Builtin values: a name in parentheses that is one of them is an expression and never a cast.
pub const VALUES: &[&str] = &[
    "args",
    "cgroup",
    "comm",
    "config",
    "cpid",
    "cpu",
    "ctx",
    "curtask",
    "dw_ustack",
    "elapsed",
    "func",
    "gid",
    "has_cpid",
    "jiffies",
    "kstack",
    "leader_comm",
    "leader_tid",
    "ncpus",
    "nsecs",
    "numaid",
    "pcomm",
    "pid",
    "ppid",
    "probe",
    "probetype",
    "rand",
    "retval",
    "tid",
    "uid",
    "usermode",
    "username",
    "ustack",
];

/// Whether the word is a builtin value, `arg0` and its like included.
pub fn is_value(word: &str) -> bool {
    let number = word.strip_prefix("arg").or_else(|| word.strip_prefix("sarg"));
    VALUES.contains(&word) || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Types of the language itself.
pub const TYPES: &[&str] = &[
    "avg_t",
    "bool",
    "buffer",
    "cgroup_path_t",
    "count_t",
    "dw_ustack_t",
    "hist_t",
    "inet",
    "int16",
    "int32",
    "int64",
    "int8",
    "kstack_t",
    "ksym_t",
    "lhist_t",
    "mac_address",
    "max_t",
    "min_t",
    "record",
    "stats_t",
    "string",
    "sum_t",
    "timestamp",
    "tseries_t",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "username_t",
    "ustack_t",
    "usym_t",
    "void",
];

/// Words of which C makes the names of its integer types.
pub const C_TYPE_WORDS: &[&str] = &["char", "double", "float", "int", "long", "short", "signed", "unsigned"];

/// Words that C allows around types and that do not matter here.
pub const C_QUALIFIERS: &[&str] = &[
    "__iomem",
    "__percpu",
    "__rcu",
    "__restrict",
    "__user",
    "const",
    "extern",
    "register",
    "restrict",
    "static",
    "volatile",
];

/// Kinds of declared maps.
pub const MAP_KINDS: &[&str] = &["hash", "lruhash", "percpuarray", "percpuhash", "percpulruhash"];

/// Whether the word is the name of a type without any definition.
pub fn is_type(word: &str) -> bool {
    TYPES.contains(&word) || crate::ctypes::integer(word).is_some()
}

/// The candidate that is most like the word, if one is like it: at most one change in three letters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = word.len().div_ceil(3).min(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed && *distance < word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, taken out, replaced or swapped to get from one word to the other.
fn distance(word: &[char], other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in word.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && word[i - 1] == *b && *a == other[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        assert_eq!(nearest("tracpoint", ["kprobe", "tracepoint", "rawtracepoint"]), Some("tracepoint"));
        assert_eq!(nearest("KPORBE", ["kprobe", "uprobe"]), Some("kprobe"));
        assert_eq!(nearest("whlie", STATEMENTS.iter().copied()), Some("while"));
        assert_eq!(nearest("zebra", STATEMENTS.iter().copied()), None);
        assert_eq!(nearest("", STATEMENTS.iter().copied()), None);
    }

    #[test]
    fn builtin_values() {
        for word in ["pid", "arg0", "arg12", "sarg3"] {
            assert!(is_value(word), "{word}");
        }
        for word in ["arg", "args0", "argx", "uint8", ""] {
            assert!(!is_value(word), "{word}");
        }
    }
}
