//! Each pass by itself: the text in front of it and behind it.
//!
//! What lives here: the reader of `tests/golden/*.ir`. A file holds cases; a case begins with `; pass NAME [OPTION ...]:
//! what it shows`, goes on with a module, and ends with `; becomes` and the module behind the pass. With
//! `UPDATE_EXPECT=1` the second halves are written anew.

use std::path::{Path, PathBuf};

use skep_ir::{parse, verify};
use skep_opt::{Options, pipeline, run_pass};

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(&directory).expect("the directory of cases");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn options(words: &str) -> Options {
    let mut options = Options { verify: true, ..Options::default() };
    for word in words.split_whitespace() {
        let (name, number) = word.split_once('=').expect("NAME=NUMBER");
        let number: u32 = number.parse().expect("a number");
        match name {
            "cpu" => options.cpu = u8::try_from(number).expect("1 to 4"),
            "unroll" => options.unroll = number,
            "unrolled" => options.unroll_size = number as usize,
            "inline" => options.inline_size = number as usize,
            "lookups" => options.merge_lookups = number != 0,
            _ => panic!("no option `{name}`"),
        }
    }
    options
}

/// The text of a case with what the pass makes of it.
fn run(case: &str, file: &Path) -> String {
    let (head, rest) = case.split_once('\n').expect("a module behind the head");
    let (what, _) =
        head.split_once(':').unwrap_or_else(|| panic!("{}: `{head}` says not what it shows", file.display()));
    let (pass, words) = what.trim().split_once(' ').unwrap_or((what.trim(), ""));
    let before = rest.split("; becomes\n").next().unwrap_or_default().trim_end();
    let mut module = parse(before).unwrap_or_else(|error| panic!("{}: {head}: {error}", file.display()));
    if let Err(violations) = verify(&module) {
        panic!("{}: {head}: {}", file.display(), violations[0]);
    }
    assert!(run_pass(&mut module, pass, &options(words)), "no pass `{pass}`");
    let after: Vec<String> = module
        .functions
        .iter()
        .zip(0..)
        .map(|(f, at)| f.to_string().replacen("func ", &format!("func f{at} "), 1))
        .collect();
    format!("; pass {head}\n{before}\n; becomes\n{}\n", after.join("\n").trim_end())
}

#[test]
fn passes_do_what_the_cases_say() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut shown = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a text");
        let (intro, cases) = text.split_once("; pass ").expect("a case");
        let mut found = intro.to_owned();
        for case in cases.split("\n; pass ") {
            shown.push(case.split([' ', ':']).next().unwrap_or_default().to_owned());
            found.push_str(&run(case, &file));
            found.push('\n');
        }
        let found = found.trim_end().to_owned() + "\n";
        if update {
            std::fs::write(&file, found).expect("the file can be written");
        } else {
            assert_eq!(found, text, "{}", file.display());
        }
    }
    for pass in pipeline() {
        assert!(shown.iter().any(|name| name == pass.name), "no case shows `{}`", pass.name);
    }
}
