//! Rows in all forms, in order and chosen.

use skep_trace::names::{Clock, NoSymbols};

use super::*;

const SECOND: i128 = 1_000_000_000;

fn columns() -> Vec<Column> {
    let column = |field: &str, head: &str, right: bool, width: usize, form: Form, shown: Shown| Column {
        field: field.into(),
        head: head.into(),
        right,
        width,
        form,
        shown,
        doc: String::new(),
    };
    vec![
        column("time", "TIME", false, 8, Form::Clock, Shown::Data),
        column("comm", "COMM", false, 6, Form::Plain, Shown::Always),
        column("wait_ns", "MS", true, 8, Form::Millis, Shown::Always),
        column("size", "KB", true, 6, Form::Kilobytes, Shown::With("-s".into())),
        column("flag", "FLAG", false, 4, Form::Plain, Shown::Wide),
        column("stack", "STACK", false, 4, Form::Stack, Shown::Always),
    ]
}

fn row(time: i128, comm: &str, wait: i128) -> Row {
    let stack = Cell::Text("  one\n  two\n".into());
    vec![Cell::Number(time), Cell::Text(comm.into()), Cell::Number(wait), Cell::Number(1536), Cell::Bool(true), stack]
}

fn show(wishes: Wishes) -> String {
    let mut names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    let mut view = View::new(&columns(), wishes).unwrap();
    let mut out = Vec::new();
    view.push(row(5 * SECOND, "b\n", 2_345_678), &mut names, &mut out);
    view.push(row(6 * SECOND + 500_000_000, "a", -1), &mut names, &mut out);
    view.push(row(7 * SECOND, "c,\"", 9_000_000), &mut names, &mut out);
    view.flush(&mut names, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn tables() {
    let frames = "        one\n        two\n";
    assert_eq!(
        show(Wishes::default()),
        format!("COMM         MS\nb\\n        2.34\n{frames}a         -0.01\n{frames}c,\"        9.00\n{frames}")
    );
    let wishes = Wishes { clock: true, since: true, given: vec!["-s".into()], ..Wishes::default() };
    assert_eq!(
        show(wishes).lines().step_by(3).collect::<Vec<_>>().first(),
        Some(&"TIME     TIME(s)    COMM         MS     KB")
    );
    let wishes = Wishes { style: Style::Wide, ..Wishes::default() };
    assert!(show(wishes).starts_with("COMM         MS     KB FLAG\nb\\n        2.34   1.50 yes\n"));
}

#[test]
fn data() {
    let wishes = Wishes { style: Style::Json, ..Wishes::default() };
    let text = show(wishes);
    let first: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(first["time"], "1970-01-01T00:00:06.500000000+00:00");
    assert_eq!((&first["wait_ns"], &first["flag"]), (&serde_json::json!(-1), &serde_json::json!(true)));
    let fields = ["comm", "wait_ns"].map(str::to_owned).to_vec();
    let wishes = Wishes { style: Style::Csv, fields: Some(fields), ..Wishes::default() };
    assert_eq!(show(wishes), "comm,wait_ns\n\"b\n\",2345678\na,-1\n\"c,\"\"\",9000000\n");
}

#[test]
fn folded_stacks() {
    let text = show(Wishes { style: Style::Folded, ..Wishes::default() });
    assert_eq!(text, "b\\n;two;one 2345\na;two;one 0\nc,\";two;one 9000\n");
    let without: Vec<Column> = columns().into_iter().filter(|column| column.form != Form::Stack).collect();
    let wishes = Wishes { style: Style::Folded, ..Wishes::default() };
    assert!(View::new(&without, wishes).unwrap_err().contains("no stacks"));
}

#[test]
fn intervals_have_a_line_between_them() {
    let fields = Some(vec!["comm".to_owned()]);
    let mut names = Names::new(Box::new(NoSymbols), Clock::fixed(0));
    for (style, expected) in [(Style::Table, "COMM\na\nb\n\nc\n"), (Style::Csv, "comm\na\nb\nc\n")] {
        let sort = vec![("comm".to_owned(), false)];
        let mut view =
            View::new(&columns(), Wishes { style, sort, fields: fields.clone(), ..Wishes::default() }).unwrap();
        let mut out = Vec::new();
        for comms in [&["b", "a"][..], &["c"]] {
            comms.iter().for_each(|comm| view.push(row(0, comm, 0), &mut names, &mut out));
            view.flush(&mut names, &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn order_and_choice() {
    let fields = || Some(vec!["comm".to_owned()]);
    let sorted = |sort: &[(&str, bool)], top| {
        let sort = sort.iter().map(|(field, down)| ((*field).to_owned(), *down)).collect();
        show(Wishes { fields: fields(), sort, top, ..Wishes::default() })
    };
    assert_eq!(sorted(&[("wait_ns", true)], None), "COMM\nc,\"\nb\\n\na\n");
    assert_eq!(sorted(&[("flag", true), ("comm", false)], Some(2)), "COMM\na\nb\\n\n");
    let fields_of = columns();
    let names: Vec<&str> = fields_of.iter().map(|column| column.field.as_str()).collect();
    let conditions = vec![Condition::parse("wait_ns > 1ms && time < 6s", &names).unwrap()];
    assert_eq!(show(Wishes { fields: fields(), conditions, ..Wishes::default() }), "COMM\nb\\n\n");
    for wishes in [
        Wishes { fields: Some(vec!["none".into()]), ..Wishes::default() },
        Wishes { sort: vec![("none".into(), false)], ..Wishes::default() },
    ] {
        assert!(View::new(&columns(), wishes).unwrap_err().contains("there are: time, comm"));
    }
}
