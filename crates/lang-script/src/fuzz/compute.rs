//! Random scripts that compute: numbers of all widths, texts, tuples, maps, aggregates, branches and loops. Every script
//! ends, reads nothing but the arguments of its probe, and leaves what it has computed in maps; loops over maps only add
//! up, because nobody says in which order they go.

use std::fmt::Write as _;

use skep_isa::fuzz::Bytes;

/// Variables with numbers: `$v0` and so on.
const VARIABLES: usize = 4;
/// Statements of a script, at most.
const STATEMENTS: u32 = 14;
/// How deep expressions and blocks are nested.
const DEPTH: u32 = 3;

// TABLE
const TEXTS: &[&str] = &["", "a", "abc", "abd", "needle", "01234567", "exactly16bytes!!", "a needle in a haystack"];
const INT_TYPES: &[&str] = &["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];
const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "&", "|", "^"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

struct Generator<'w, 'b> {
    bytes: &'w mut Bytes<'b>,
    text: String,
    left: u32,
    loops: u32,
    /// How many loops are around.
    inside: u32,
}

/// A script with one probe on a tracepoint with arguments.
pub fn computing_script(bytes: &mut Bytes<'_>) -> String {
    let mut generator = Generator { bytes, text: String::new(), left: STATEMENTS, loops: 0, inside: 0 };
    generator.line("rawtracepoint:sched_switch {");
    for number in 0..VARIABLES {
        let ty = generator.bytes.pick(INT_TYPES);
        generator.line(&format!("$v{number} = (int64)({ty})arg{number};"));
    }
    generator
        .line("$t0 = \"abc\"; $t1 = \"a needle in a haystack\"; $p = ($v0, (uint8)$v1, \"abc\"); $sum = (int64)0;");
    // Maps have the types of what is assigned to them.
    generator.line("@m[100] = (int64)1; @n[(uint8)100, \"abc\"] = (int64)2; @pairs[100] = ((int64)3, (uint16)4);");
    generator.line("@a1[100] = count(); @a2[100] = sum((int64)5);");
    while generator.left > 0 {
        generator.statement(DEPTH);
    }
    for number in 0..VARIABLES {
        generator.line(&format!("@out[{number}] = $v{number};"));
    }
    generator.line("@out[100] = $sum; @out[101] = (int64)strlen($t0); @texts[0] = $t0; @texts[1] = $t1; @pair = $p; }");
    generator.text
}

impl Generator<'_, '_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}");
    }

    fn variable(&mut self) -> String {
        format!("$v{}", self.bytes.below(VARIABLES))
    }

    fn literal(&mut self) -> String {
        let number = self.bytes.interesting();
        // The sign is an operator, so the smallest number has none.
        if number < 0 && number != i64::MIN { format!("(-{})", -number) } else { format!("{}", number.max(0)) }
    }

    /// A number of 64 bits with sign.
    fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.bytes.below(4) {
                0 => self.literal(),
                1 => format!("(int64)arg{}", self.bytes.below(6)),
                _ => self.variable(),
            };
        }
        let depth = depth - 1;
        match self.bytes.below(13) {
            0 | 1 => self.number(0),
            2 | 3 => {
                let (left, right, op) = (self.number(depth), self.number(depth), self.bytes.pick(OPERATORS));
                format!("({left} {op} {right})")
            }
            4 => {
                let (left, right) = (self.number(depth), self.number(depth));
                let op = self.bytes.pick(&["<<", ">>"]);
                format!("({left} {op} ({right} & 63))")
            }
            5 | 6 => {
                let (ty, inner) = (self.bytes.pick(INT_TYPES), self.number(depth));
                format!("(int64)({ty})({inner})")
            }
            7 => {
                let (cond, yes, no) = (self.condition(depth), self.number(depth), self.number(depth));
                format!("({cond} ? {yes} : {no})")
            }
            8 => {
                let op = self.bytes.pick(&["-", "~"]);
                format!("({op}({}))", self.number(depth))
            }
            9 => format!("@m[{}]", self.key(depth)),
            10 => format!("@n[{}]", self.keys(depth)),
            11 => {
                let field = self.bytes.pick(&["$p.0", "(int64)$p.1", "@pairs[1].0", "(int64)@pairs[2].1"]);
                field.to_owned()
            }
            _ => {
                let text = self.text_value();
                format!("(int64)strlen({text})")
            }
        }
    }

    /// A number with few values.
    fn key(&mut self, depth: u32) -> String {
        format!("({}) & 7", self.number(depth))
    }

    /// The key of a map with two.
    fn keys(&mut self, depth: u32) -> String {
        let (ty, number) = (self.bytes.pick(&["uint8", "int32"]), self.key(depth));
        // All keys of the map are of one type.
        format!("(uint8)({ty})({number}), {}", self.text_value())
    }

    fn text_value(&mut self) -> String {
        match self.bytes.below(4) {
            0 => "$t0".to_owned(),
            1 => "$t1".to_owned(),
            _ => format!("\"{}\"", self.bytes.pick(TEXTS)),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        match self.bytes.below(7) {
            0 => {
                let (left, right) = (self.bytes.pick(&["$t0", "$t1"]), self.text_value());
                format!("{left} {} {right}", self.bytes.pick(&["==", "!="]))
            }
            1 if depth > 0 => {
                let (left, right) = (self.condition(depth - 1), self.condition(depth - 1));
                format!("({left} {} {right})", self.bytes.pick(&["&&", "||"]))
            }
            2 if depth > 0 => format!("!({})", self.condition(depth - 1)),
            3 => format!("has_key(@m, {})", self.key(0)),
            _ => {
                let depth = depth.saturating_sub(1);
                let (left, right) = (self.number(depth), self.number(depth));
                let sign = self.bytes.pick(&["", "(uint64)", "(int32)", "(uint16)"]);
                format!("{sign}({left}) {} {sign}({right})", self.bytes.pick(COMPARISONS))
            }
        }
    }

    fn block(&mut self, depth: u32) {
        for _ in 0..=self.bytes.below(2) {
            self.statement(depth);
        }
    }

    fn statement(&mut self, depth: u32) {
        self.left = self.left.saturating_sub(1);
        if depth > 0 && self.bytes.one_in(3) {
            return self.nested(depth - 1);
        }
        let value = self.number(2);
        let text = match self.bytes.below(16) {
            0..=3 => format!("{} = {value};", self.variable()),
            4 => format!("@m[{}] = {value};", self.key(1)),
            5 => format!("@n[{}] = {value};", self.keys(1)),
            6 => format!("@m[{}] {} {value};", self.key(1), self.bytes.pick(&["+=", "-="])),
            7 => format!("@m[{}]{};", self.key(0), self.bytes.pick(&["++", "--"])),
            8 => format!("delete(@m, {});", self.key(1)),
            9 => {
                let aggregate = ["@a1[KEY] = count();", "@a2[KEY] = sum(VALUE);", "@a3[KEY] = min(VALUE);"];
                let more = ["@a4[KEY] = max(VALUE);", "@a5[KEY] = avg(VALUE);", "@a6 = hist(VALUE);"];
                let last = ["@a7 = lhist(VALUE, -10, 100, 7);", "@a8[KEY] = hist(VALUE, 3);"];
                let all: Vec<&str> = aggregate.iter().chain(&more).chain(&last).copied().collect();
                let key = self.key(1);
                self.bytes.pick(&all).replace("KEY", &key).replace("VALUE", &value)
            }
            10 => format!("{} = {};", self.bytes.pick(&["$t0", "$t1"]), self.text_value()),
            11 => format!("$p = ({value}, (uint8)({}), {});", self.number(1), self.text_value()),
            12 => format!("@pairs[{}] = ({value}, (uint16)({}));", self.key(0), self.number(1)),
            13 => format!("@texts[{}] = {};", self.key(0), self.text_value()),
            14 => format!("{}{};", self.variable(), self.bytes.pick(&["++", "--"])),
            _ => format!("@x = {value};"),
        };
        self.line(&text);
    }

    /// A statement with statements in it.
    fn nested(&mut self, depth: u32) {
        match self.bytes.below(6) {
            0 | 1 => {
                let condition = self.condition(2);
                self.line(&format!("if ({condition}) {{"));
                self.block(depth);
                if self.bytes.one_in(2) {
                    self.line("} else {");
                    self.block(depth);
                }
                self.line("}");
            }
            2 if self.inside < 2 => {
                let counter = format!("$i{}", self.loops);
                let (rounds, stop) = (self.bytes.below(6), self.condition(1));
                self.line(&format!("{counter} = (int64)0; while ({counter} < {rounds}) {{ {counter}++;"));
                self.body(depth, &stop);
            }
            3 if self.inside < 2 => {
                let (end, stop) = (self.number(1), self.condition(1));
                self.line(&format!("for $i{} : 0..(({end}) & 7) {{", self.loops));
                self.body(depth, &stop);
            }
            4 if self.inside < 2 => {
                let (rounds, stop) = (1 + self.bytes.below(3), self.condition(1));
                self.line(&format!("unroll({rounds}) {{"));
                self.body(depth, &stop);
            }
            _ => {
                let map = self.bytes.pick(&["@m", "@a1", "@a2"]);
                let factor = self.literal();
                self.line(&format!("for ($kv : {map}) {{ $sum += (int64)$kv.0 * {factor} + (int64)$kv.1; }}"));
            }
        }
    }

    /// The rest of a loop, which may be left early.
    fn body(&mut self, depth: u32, stop: &str) {
        self.loops += 1;
        self.inside += 1;
        match self.bytes.below(4) {
            0 => self.line(&format!("if ({stop}) {{ break; }}")),
            1 => self.line(&format!("if ({stop}) {{ continue; }}")),
            _ => {}
        }
        self.block(depth);
        self.inside -= 1;
        self.line("}");
    }
}
