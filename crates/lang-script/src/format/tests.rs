//! Tests of the formatter.

use std::fs;
use std::path::Path;

use crate::fuzz;

/// The scripts of the tests with their names.
fn scripts() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            (path.display().to_string(), fs::read_to_string(&path).expect("it is text"))
        })
        .collect();
    scripts.sort();
    scripts
}

#[test]
fn scripts_stay_the_same() {
    let scripts = scripts();
    assert!(scripts.len() >= 30, "the scripts are missing");
    for (name, text) in scripts {
        let (_, diagnostics) = crate::parse(&text);
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:#?}");
        fuzz::script(text.as_bytes());
    }
}

#[test]
fn comments_stay_where_they_are() {
    let text = "\
#!/usr/bin/skep
// About the script.

#define A 1 // one
struct s {
  // About a.
  int a; // the a
};

config = {
  // About the setting.
  max_strlen = 0x40; // bytes
}

// About the probe.
kprobe:f, // first
kprobe:g
/pid == 1e3/ // only this
{
  // About x.
  $x = 5ms; // five

  if ($x) {
    f(); // inside
    // At the end of the branch.
  }
  // At the end.
} // behind

/* At the end
 * of the script. */
";
    let canonical = crate::format_text(text).expect("it is correct");
    let expected = text.replace("// one\nstruct", "// one\n\nstruct");
    assert_eq!(canonical, expected);
}

#[test]
fn notation_is_canonical() {
    // TABLE
    for (text, expected) in [
        ("BEGIN{exit()}", "begin\n{\n  exit();\n}\n"),
        ("t:a:b/pid/{@[comm]=count()}", "tracepoint:a:b\n/pid/\n{\n  @[comm] = count();\n}\n"),
        (
            "begin { if($a){f()}else if $b{g()}else{h()} }",
            "begin\n{\n  if ($a) {\n    f();\n  } else if ($b) {\n    g();\n  } else {\n    h();\n  }\n}\n",
        ),
        ("begin{$x=((1+2))*(3);$y=(a->b)}", "begin\n{\n  $x = (1 + 2) * 3;\n  $y = a.b;\n}\n"),
        ("begin{for $i:0..5{}}", "begin\n{\n  for ($i : 0..5) {\n  }\n}\n"),
    ] {
        assert_eq!(crate::format_text(text).as_deref(), Ok(expected), "{text}");
    }
}
