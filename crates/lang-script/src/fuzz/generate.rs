//! Scripts made at random that are right by construction: names exist, types fit, loops end. What comes out must compile,
//! and the kernel must accept it.

use std::fmt::Write as _;

/// A script from arbitrary bytes: the same bytes give the same script.
pub fn script(data: &[u8]) -> String {
    let mut maker = Maker { data, at: 0, depth: 0, loops: 0, next: 0, scopes: Vec::new(), place: Place::Probe };
    // Probes first: what is left of the bytes is for functions.
    let mut probes = String::new();
    for point in ["begin", "end"] {
        maker.scopes = vec![Vec::new()];
        let body = maker.body(5);
        let _ = writeln!(probes, "{point} {{ {body} }}");
    }
    let mut text = String::from(MAPS);
    for (place, head) in [
        (Place::Numbers, "fn number($a : int64, $b : int64) : int64 {"),
        (Place::Texts, "fn text($s : string[32], $n : int64) : string[48] {"),
        (Place::Pairs, "fn pair($p : (int64, string[16])) : (int64, string[16]) {"),
    ] {
        maker.place = place;
        maker.scopes = vec![match place {
            Place::Numbers => vec![("$a".to_owned(), Kind::Number), ("$b".to_owned(), Kind::Number)],
            Place::Texts => vec![("$s".to_owned(), Kind::Text), ("$n".to_owned(), Kind::Number)],
            _ => vec![("$p".to_owned(), Kind::Pair)],
        }];
        let body = maker.body(3);
        let value = maker.value(place.result());
        let _ = writeln!(text, "{head} {body} return {value}; }}");
    }
    text + &probes
}

/// Every map gets its types here, whatever the random part does with them.
const MAPS: &str = "begin { @n[1] = nsecs; @t[1, \"k\"] = str_concat(\"a\", comm); @p[\"k\"] = (1, \"pair of a text\"); \
                    @c[1] = count(); @h = hist(1); @last = 1; }\n";

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Numbers,
    Texts,
    Pairs,
    Probe,
}

impl Place {
    const fn result(self) -> Kind {
        match self {
            Self::Texts => Kind::Text,
            Self::Pairs => Kind::Pair,
            Self::Numbers | Self::Probe => Kind::Number,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Pair,
}

struct Maker<'d> {
    data: &'d [u8],
    at: usize,
    depth: u32,
    loops: u32,
    next: u32,
    scopes: Vec<Vec<(String, Kind)>>,
    place: Place,
}

impl Maker<'_> {
    /// A number below a limit; 0 when the bytes are used up, which makes everything short.
    fn pick(&mut self, below: usize) -> usize {
        let byte = self.data.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % below.max(1)
    }

    fn choose(&mut self, list: &[&str]) -> String {
        let index = self.pick(list.len());
        list[index].to_owned()
    }

    fn variable(&mut self, kind: Kind) -> Option<String> {
        let names: Vec<String> =
            self.scopes.iter().flatten().filter(|var| var.1 == kind).map(|var| var.0.clone()).collect();
        if names.is_empty() {
            return None;
        }
        let index = self.pick(names.len());
        Some(names[index].clone())
    }

    fn declared(&mut self, kind: Kind) -> String {
        self.next += 1;
        let name = format!("$v{}", self.next);
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((name.clone(), kind));
        }
        name
    }

    fn value(&mut self, kind: Kind) -> String {
        self.depth += 1;
        let value = match kind {
            Kind::Number => self.number(),
            Kind::Text => self.text(),
            Kind::Pair => self.pair(),
        };
        self.depth -= 1;
        value
    }

    fn number(&mut self) -> String {
        if self.depth > 3 {
            let known = self.variable(Kind::Number);
            return known.unwrap_or_else(|| self.choose(&["1", "7", "pid", "-3", "nsecs"]));
        }
        let (n, t) = (Kind::Number, Kind::Text);
        match self.pick(24) {
            0 => self.choose(&["0", "1", "255", "-1", "0x7fffffff", "1e6", "tid", "cpu", "rand", "uid", "elapsed"]),
            1 | 2 => match self.variable(n) {
                Some(name) => name,
                None => "3".to_owned(),
            },
            3 => {
                let op = self.choose(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
                format!("({} {op} {})", self.value(n), self.value(n))
            }
            4 => {
                let op = self.choose(&["<", ">", "<=", "==", "!="]);
                format!("({} {op} {} ? {} : {})", self.value(n), self.value(n), self.value(n), self.value(n))
            }
            5 => format!("strlen({})", self.value(t)),
            6 => format!("strncmp({}, {}, {})", self.value(t), self.value(t), 1 + self.pick(20)),
            7 => format!("(int64)strcontains({}, {})", self.value(t), self.value(t)),
            8 => format!("strstr({}, {})", self.value(t), self.value(t)),
            9 => format!("memcmp({}, {}, 2)", self.value(t), self.value(t)),
            10 => format!("@n[{}]", self.value(n)),
            11 => format!("(int64)has_key(@t, ({}, {}))", self.value(n), self.value(t)),
            12 => self.choose(&["len(@n)", "len(@p)", "(int64)delete(@n, 1)", "(int64)@c[1]", "@last++", "--@n[2]"]),
            13 => {
                let cast = self.choose(&["uint8", "int8", "uint16", "int32", "uint32", "uint64", "bool"]);
                format!("(int64)({cast})({})", self.value(n))
            }
            14 => format!("({}).0", self.value(Kind::Pair)),
            15 if self.place == Place::Probe => format!("number({}, {})", self.value(n), self.value(n)),
            16 => match self.variable(n) {
                Some(name) => format!("*(&{name})"),
                None => "sizeof(uint32)".to_owned(),
            },
            17 => format!("(int64)({} == {})", self.value(t), self.value(t)),
            18 => format!("(int64)({} != {})", self.value(Kind::Pair), self.value(Kind::Pair)),
            19 => format!("(int64)({} && !{})", self.value(n), self.value(n)),
            20 => match self.variable(t) {
                Some(name) => format!("(int64){name}[{}]", self.value(n)),
                None => "4".to_owned(),
            },
            21 => format!("({} ?: {})", self.value(n), self.value(n)),
            22 => format!("{{ let $q{0} = {1}; $q{0} + 1 }}", self.fresh(), self.value(n)),
            _ => self.choose(&["(int64)is_err((uint8 *)1)", "ppid", "leader_tid", "ncpus", "bswap((uint32)9)"]),
        }
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn text(&mut self) -> String {
        if self.depth > 3 {
            let known = self.variable(Kind::Text);
            return known.unwrap_or_else(|| self.choose(&["\"\"", "\"abc\"", "comm"]));
        }
        let t = Kind::Text;
        match self.pick(12) {
            0 => self.choose(&["\"\"", "\"x\"", "\"needle\"", "\"a text of more than thirty-two bytes\""]),
            1 | 2 => self.variable(t).unwrap_or_else(|| "comm".to_owned()),
            3 => self.choose(&["comm", "pcomm", "leader_comm", "probe"]),
            4 => format!("str_concat({}, {})", self.value(t), self.value(t)),
            5 => format!("@t[{}, {}]", self.value(Kind::Number), self.value(t)),
            6 => format!("({} ? {} : {})", self.value(Kind::Number), self.value(t), self.value(t)),
            7 if self.place == Place::Probe => format!("text({}, {})", self.value(t), self.value(Kind::Number)),
            8 => format!("({}).1", self.value(Kind::Pair)),
            9 => format!("str({}, 20)", self.value(Kind::Number)),
            10 => format!("str(curtask->comm, {})", 1 + self.pick(30)),
            _ => "str(curtask->group_leader->comm)".to_owned(),
        }
    }

    fn pair(&mut self) -> String {
        let plain = format!("({}, {})", self.value(Kind::Number), self.value(Kind::Text));
        if self.depth > 2 {
            return self.variable(Kind::Pair).unwrap_or_else(|| "(1, \"p\")".to_owned());
        }
        match self.pick(6) {
            0 => self.variable(Kind::Pair).unwrap_or(plain),
            1 => format!("@p[{}]", self.value(Kind::Text)),
            2 if self.place == Place::Probe => format!("pair({})", self.value(Kind::Pair)),
            _ => plain,
        }
    }

    fn body(&mut self, most: usize) -> String {
        self.scopes.push(Vec::new());
        let count = 1 + self.pick(most);
        let statements: Vec<String> = (0..count).map(|_| self.statement()).collect();
        self.scopes.pop();
        statements.join(" ")
    }

    /// Statements in braces.
    fn braces(&mut self, in_loop: bool) -> String {
        self.loops += u32::from(in_loop);
        self.depth += 1;
        let body = self.body(3);
        self.depth -= 1;
        self.loops -= u32::from(in_loop);
        format!("{{ {body} }}")
    }

    fn statement(&mut self) -> String {
        let (n, t, p) = (Kind::Number, Kind::Text, Kind::Pair);
        match self.pick(if self.depth > 2 { 12 } else { 20 }) {
            kind @ 0..=2 => {
                let kind = [n, t, p][kind];
                let value = self.value(kind);
                let old = if self.pick(2) == 0 { self.variable(kind) } else { None };
                match old {
                    // What was declared with a smaller room stays as it is.
                    Some(name) if name.starts_with("$v") => format!("{name} = {value};"),
                    _ => format!("{} = {value};", self.declared(kind)),
                }
            }
            3 => format!("@n[{}] = {};", self.value(n), self.value(n)),
            4 => format!("@t[{}, {}] = {};", self.value(n), self.value(t), self.value(t)),
            5 => format!("@p[{}] = {};", self.value(t), self.value(p)),
            6 => format!("@c[{}] = count();", self.value(n)),
            7 => format!("@h = hist({});", self.value(n)),
            8 => {
                let op = self.choose(&["+=", "-=", "|=", "*="]);
                format!("@n[{}] {op} {};", self.value(n), self.value(n))
            }
            9 => format!("printf(\"%d %s %s\\n\", {}, {}, {});", self.value(n), self.value(t), self.value(p)),
            10 => match self.pick(4) {
                0 if self.loops > 0 => self.choose(&["break;", "continue;"]),
                1 => match self.place {
                    Place::Probe => "return;".to_owned(),
                    place => format!("return {};", self.value(place.result())),
                },
                2 => "exit(2);".to_owned(),
                _ => format!("print({});", self.value(n)),
            },
            11 => format!("debugf(\"%d %s\", {}, {});", self.value(n), self.value(t)),
            12 => format!("if ({}) {} else {}", self.value(n), self.braces(false), self.braces(false)),
            13 | 14 => {
                let (map, value) = [("@n", n), ("@t", t)][self.pick(2)];
                let name = format!("$v{}", self.fresh());
                self.scopes.push(Vec::new());
                let inner = self.declared(value);
                let body = self.braces(true);
                self.scopes.pop();
                format!("for ({name} : {map}) {{ {inner} = {name}.1; {body} }}")
            }
            15 => {
                let name = format!("$v{}", self.fresh());
                self.scopes.push(vec![(name.clone(), n)]);
                let body = self.braces(true);
                self.scopes.pop();
                format!("for ({name} : 0..{}) {body}", self.value(n))
            }
            16 => {
                let name = format!("$w{}", self.fresh());
                format!("let {name} = 0; while ({name} < {}) {{ {name}++; {} }}", self.pick(9), self.braces(true))
            }
            17 => format!("unroll({}) {}", 1 + self.pick(3), self.braces(true)),
            18 => {
                let name = format!("$f{}", self.fresh());
                format!("if (find(@t, ({}, {}), {name})) {{ print({name}); }}", self.value(n), self.value(t))
            }
            _ => format!("if comptime (sizeof(int8) == 1) {} else {{ nothing(); }}", self.braces(false)),
        }
    }
}
