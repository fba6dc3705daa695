//! Writes programs whose every statement is defined: in C as `-fwrapv` has it, in the kernel, and in clang, which has no
//! products, no shifts by variables and no quotients with a sign of 128 bits for BPF.

use std::fmt::Write as _;

/// Programs in one file: starting clang costs more than compiling.
pub const BATCH: usize = 24;

const TYPES: [&str; 9] =
    ["int", "unsigned", "long", "unsigned long", "short", "unsigned short", "signed char", "unsigned char", "_Bool"];

const WIDE: [&str; 2] = ["__int128", "unsigned __int128"];

const MEMBERS: [&str; 13] = ["a", "b", "c", "d", "f1", "f2", "f3", "f4", "f5", "f6", "in.x", "in.y", "u.half[1]"];

/// A generator of numbers (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    fn choose<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// A variable that can be named.
#[derive(Clone)]
struct Var {
    name: String,
    /// Those of loops are not written.
    writable: bool,
    /// 128 bits.
    wide: bool,
}

impl Var {
    fn new(name: impl Into<String>, ty: &str) -> Self {
        Self { name: name.into(), writable: true, wide: ty.contains("__int128") }
    }
}

/// Writes a program.
struct Writer<'r> {
    random: &'r mut Random,
    text: String,
    vars: Vec<Var>,
    names: usize,
    /// Statements that may still be made.
    left: usize,
    in_loop: bool,
    /// Functions that can be called.
    functions: usize,
    /// Whether the program itself is written: what walks with a helper is only there.
    outermost: bool,
}

impl Writer<'_> {
    fn new(random: &mut Random, vars: Vec<Var>, left: usize, functions: usize) -> Writer<'_> {
        let outermost = functions > 0;
        Writer { random, text: String::new(), vars, names: 0, left, in_loop: false, functions, outermost }
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names - 1)
    }

    fn number(&mut self) -> String {
        match self.random.below(6) {
            0 => format!("{}", self.random.below(10)),
            1 => format!("{:#x}ul", self.random.next()),
            2 => format!("{:#x}u", self.random.next() as u32),
            3 => format!("(-{})", self.random.below(1000)),
            4 => format!("(((unsigned __int128){:#x}ul << 64) | {:#x}ul)", self.random.next(), self.random.next()),
            _ => format!("'{}'", (b'a' + self.random.below(26) as u8) as char),
        }
    }

    fn variable(&mut self, wanted: impl Fn(&Var) -> bool, otherwise: &str) -> String {
        let usable: Vec<&Var> = self.vars.iter().filter(|var| wanted(var)).collect();
        match usable.len() {
            0 => otherwise.to_owned(),
            count => usable[self.random.below(count)].name.clone(),
        }
    }

    /// Something to read.
    fn leaf(&mut self) -> String {
        match self.random.below(16) {
            0 | 1 => format!("r.{}", self.random.choose(&MEMBERS)),
            2 => format!("p->{}", self.random.choose(&MEMBERS)),
            3 => format!("element({})", self.expr(3)),
            4 => format!("table[(int)({}) & 3]", self.expr(3)),
            5 => self.random.choose(&["g0", "g1", "g2", "g3", "hidden[2]", "w0"]).to_owned(),
            6..=9 => self.variable(|_| true, "g0"),
            _ => format!("seed[{}]", self.random.below(8)),
        }
    }

    /// Something to write, of at most 64 bits.
    fn place(&mut self) -> String {
        match self.random.below(9) {
            0 | 1 => format!("r.{}", self.random.choose(&MEMBERS)),
            2 => format!("p->{}", self.random.choose(&MEMBERS)),
            3 => format!("arr[{}]", self.random.below(8)),
            4 => self.random.choose(&["g0", "g1", "g2", "g3", "hidden[2]"]).to_owned(),
            _ => self.variable(|var| var.writable && !var.wide, "g0"),
        }
    }

    /// An expression; behind a depth only leaves.
    fn expr(&mut self, depth: usize) -> String {
        if depth >= 4 {
            return if self.random.below(3) == 0 { self.number() } else { self.leaf() };
        }
        let next = depth + 1;
        match self.random.below(21) {
            0 => format!("(-({}))", self.expr(next)),
            1 => format!("(~({}))", self.expr(next)),
            2 => format!("(!({}))", self.expr(next)),
            3 => format!("(({})({}))", self.random.choose(&TYPES), self.expr(next)),
            4 => format!("(({}) ? ({}) : ({}))", self.expr(next), self.expr(next), self.expr(next)),
            5 => {
                let op = self.random.choose(&["<<", ">>"]);
                let ty = self.random.choose(&["int", "unsigned", "long", "unsigned long"]);
                format!("(({ty})({}) {op} (({}) & 31))", self.expr(next), self.expr(next))
            }
            6 => {
                let op = self.random.choose(&["/", "%"]);
                format!("((unsigned long)({}) {op} ((unsigned)({}) | 1))", self.expr(next), self.expr(next))
            }
            7 if self.functions > 0 => {
                let function = self.random.below(self.functions);
                format!("f{function}({}, {})", self.expr(next), self.expr(next))
            }
            8 => {
                let builtin = self.random.choose(&["__builtin_bswap16", "__builtin_bswap32", "__builtin_bswap64"]);
                format!("{builtin}({})", self.expr(next))
            }
            9 => format!("({}, {})", self.expr(next), self.expr(next)),
            10 => format!("({{ {} t = {}; t ^ ({}); }})", self.random.choose(&TYPES), self.expr(next), self.expr(next)),
            11 => {
                let (ty, cond) = (self.random.choose(&TYPES), self.expr(next));
                let (yes, no) = (self.expr(next), self.expr(next));
                format!("({{ {ty} t = 1; if ({cond}) t += {yes}; else t = {no}; t; }})")
            }
            12 => {
                let op = self.random.choose(&["<<", ">>"]);
                let ty = self.random.choose(&WIDE);
                format!("((({ty})({})) {op} {})", self.expr(next), self.random.below(128))
            }
            13 => {
                let op = self.random.choose(&["/", "%"]);
                let by = self.random.choose(&["2", "16", "((__int128)1 << 70)"]);
                format!("(((unsigned __int128)({})) {op} {by})", self.expr(next))
            }
            14 => format!("((long)({}) * (unsigned)({}))", self.expr(next), self.expr(next)),
            15..=17 => {
                let op = self.random.choose(&["<", "<=", ">", ">=", "==", "!=", "&&", "||"]);
                format!("(({}) {op} ({}))", self.expr(next), self.expr(next))
            }
            _ => {
                let op = self.random.choose(&["+", "-", "&", "|", "^"]);
                format!("(({}) {op} ({}))", self.expr(next), self.expr(next))
            }
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn block(&mut self, count: usize) {
        let known = self.vars.len();
        for _ in 0..count {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            self.statement();
        }
        self.vars.truncate(known);
    }

    /// A loop's body, with a way out of it.
    fn body(&mut self) {
        self.in_loop = true;
        self.block(3);
        if self.random.below(2) == 0 {
            let (cond, way) = (self.expr(2), self.random.choose(&["break", "continue"]));
            self.line(&format!("if ({cond}) {way};"));
            self.block(1);
        }
        self.in_loop = false;
    }

    fn statement(&mut self) {
        match self.random.below(19) {
            0..=2 => {
                let ty = if self.random.below(4) == 0 { self.random.choose(&WIDE) } else { self.random.choose(&TYPES) };
                let (value, name) = (self.expr(1), self.fresh("v"));
                self.line(&format!("{ty} {name} = {value};"));
                self.vars.push(Var::new(name, ty));
            }
            3 => {
                let cond = self.expr(1);
                self.line(&format!("if ({cond}) {{"));
                self.block(2);
                self.line("} else {");
                self.block(2);
                self.line("}");
            }
            4 if !self.in_loop => {
                let (name, rounds) = (self.fresh("i"), 1 + self.random.below(6));
                match self.random.below(if self.outermost { 3 } else { 2 }) {
                    0 => self.line(&format!("for (int {name} = 0; {name} < {rounds}; {name}++) {{")),
                    1 => self.line(&format!("int {name} = {rounds};\nwhile ({name}-- > 0) {{")),
                    _ => self.line(&format!("int {name};\nwalk({name}, {rounds}) {{")),
                }
                self.vars.push(Var { name, writable: false, wide: false });
                self.body();
                self.vars.pop();
                self.line("}");
            }
            5 => self.switch(),
            6 => {
                let place = if self.random.below(4) == 0 {
                    self.variable(|var| var.writable && var.wide, "w0")
                } else {
                    self.place()
                };
                let step = self.random.choose(&["++", "--"]);
                self.line(&format!("{place}{step};"));
            }
            7 => {
                let copied = self.random.choose(&[
                    "r = *p;",
                    "*p = (struct s){ .a = 3, .f2 = -4, .in = { 1, 2 } };",
                    "__builtin_memset(&r, 0x5a, sizeof(r)); r.f6 = 1;",
                    "__builtin_memcpy(arr, table, sizeof(table));",
                    "__builtin_memset(arr, 0, 12);",
                    "p = p == &r ? &q : &r; opaque(p);",
                    "r.u.whole = q.u.whole;",
                    "hidden[1] = hidden[2] + 1;",
                ]);
                self.line(copied);
            }
            8 => self.jump(),
            9 => self.atomic(),
            10 => {
                let place = self.variable(|var| var.writable && var.wide, "w0");
                let op = self.random.choose(&["=", "+=", "-=", "&=", "|=", "^="]);
                let value = self.expr(1);
                self.line(&format!("{place} {op} {value};"));
            }
            11 => {
                let place = self.variable(|var| var.writable && var.wide, "w0");
                let op = self.random.choose(&["<<=", ">>="]);
                let count = self.random.below(128);
                self.line(&format!("{place} {op} {count};"));
            }
            12 if self.outermost && !self.in_loop => {
                // Linux 6.18 fails on a callback that is never called, because it removed it ("No program to jit").
                let (rounds, start) = (1 + self.random.below(8), self.expr(2));
                let callback = self.random.below(2);
                self.line(&format!(
                    "{{ struct walk w = {{ {start}, 1 }};\n\
                     bpf_loop({rounds}, step{callback}, &w, 0); sum += w.sum * 5 + w.rounds; }}"
                ));
            }
            _ => {
                let (place, value) = (self.place(), self.expr(1));
                let op = self.random.choose(&["=", "=", "=", "+=", "-=", "*=", "&=", "|=", "^="]);
                let value = if op == "*=" { format!("(long)({value})") } else { value };
                self.line(&format!("{place} {op} {value};"));
            }
        }
    }

    fn switch(&mut self) {
        let value = self.expr(1);
        let far = self.random.below(2) == 0;
        self.line(&format!("switch ((int)({value}) & {}) {{", if far { 255 } else { 7 }));
        self.line("case 0: {");
        self.block(1);
        self.line("} break;\ncase 1: case 2: {");
        self.block(1);
        self.line("}\ncase 3 ... 5: {");
        self.block(1);
        self.line("} break;");
        if far {
            self.line("case 20 ... 120: {");
            self.block(1);
            self.line("}");
        }
        self.line("default: {");
        self.block(1);
        self.line("} }");
    }

    /// Jumps forward over a block, or a few times back.
    fn jump(&mut self) {
        let (label, cond) = (self.fresh("l"), self.expr(2));
        if self.random.below(3) > 0 || self.in_loop {
            self.line(&format!("if ({cond}) goto {label};\n{{"));
            self.block(2);
            self.line(&format!("}}\n{label}:;"));
            return;
        }
        let rounds = 1 + self.random.below(4);
        self.line(&format!("int n{label} = 0;\n{label}: if (n{label}++ < {rounds} && ({cond})) {{"));
        self.in_loop = true;
        self.block(2);
        self.in_loop = false;
        self.line(&format!("goto {label}; }}"));
    }

    fn atomic(&mut self) {
        let place = self.random.choose(&["&g0", "&g1", "&hidden[0]"]);
        let value = self.expr(2);
        let operation = self.random.choose(&[
            "__sync_fetch_and_add",
            "__sync_fetch_and_or",
            "__sync_fetch_and_and",
            "__sync_fetch_and_xor",
            "__sync_lock_test_and_set",
        ]);
        match self.random.below(3) {
            0 => self.line(&format!("sum += {operation}({place}, {value});")),
            1 => self.line(&format!("__sync_fetch_and_add({place}, {value});")),
            _ => {
                let old = self.expr(3);
                self.line(&format!("sum ^= __sync_val_compare_and_swap({place}, {old}, {value});"));
            }
        }
    }
}

const HEAD: &str = r#"
#ifdef FOR_CLANG
/* It adds to pointers that it knows to be aligned by `|`, which the kernel refuses. */
#define opaque(p) asm volatile("" : "+r"(p))
#define element(index) ({ unsigned *of = arr; opaque(of); of[(int)(index) & 7]; })
#else
#define opaque(p)
#define element(index) arr[(int)(index) & 7]
#endif
struct in { unsigned char x; short y; };
struct s {
    int a; unsigned char b; short c; unsigned f1 : 5; int f2 : 7; unsigned long d; unsigned long f3 : 33;
    struct in in; long f4 : 20; unsigned long f5 : 44; _Bool f6 : 1;
    union { unsigned long whole; unsigned half[2]; } u;
};
unsigned long out[24] __attribute__((section(".data"))) = { 1 };
const volatile unsigned long seed[8] = { SEEDS };
static const unsigned table[4] = { 3, 0xfffffff0, 77, 0x80000000 };
int g0 = 5; unsigned long g1; short g2 = -7; _Bool g3 = 1;
static unsigned long hidden[3];
unsigned __int128 w0 = ((unsigned __int128)0x123456789abcdef << 61) - 1;
char _license[] __attribute__((section("license"))) = "GPL";
static long (*bpf_loop)(unsigned rounds, void *step, void *context, unsigned long flags) = (void *)181;
struct bpf_iter_num { unsigned long __opaque[1]; } __attribute__((aligned(8)));
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __attribute__((section(".ksyms")));
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __attribute__((section(".ksyms")));
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __attribute__((section(".ksyms")));
#define walk(i, end) for (struct bpf_iter_num it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))), \
    *start = (bpf_iter_num_new(&it, 0, (end)), (void)bpf_iter_num_destroy, (void *)0); \
    ({ int *now = bpf_iter_num_next(&it); now ? (i = *now, 1) : 0; }); )
struct walk { unsigned long sum; unsigned rounds; };
static int step0(unsigned i, struct walk *w) { w->sum = w->sum * 3 + i; w->rounds++; return w->sum & 64 ? 1 : 0; }
static int step1(unsigned i, struct walk *w) { w->sum ^= seed[i & 7]; w->rounds += i; return 0; }
"#;

const LOCALS: &str = "struct s r = { 1, 2, 3, 4, 5, 6, 7, { 8, 9 } }, q = { .d = 4 }; struct s *p = &q; opaque(p);\n\
                      unsigned arr[8] = { 1, 2, [5] = 6 }; unsigned long sum = 0;\n";

/// A file with programs, each of which leaves a number in `out`.
pub fn file(random: &mut Random) -> String {
    let seeds: Vec<String> = (0..8).map(|_| format!("{:#x}ul", random.next())).collect();
    let mut text = HEAD.replace("SEEDS", &seeds.join(", "));
    for function in 0..3 {
        let kind = random.choose(&[
            "static __attribute__((noinline))",
            "static __attribute__((always_inline)) inline",
            "static",
        ]);
        let mut types = [0; 3].map(|_| random.choose(&TYPES));
        for (at, ty) in types.iter_mut().enumerate() {
            // clang returns 128 bits from no function that stays one.
            if random.below(6) == 0 && (at > 0 || kind.contains("always_inline")) {
                *ty = random.choose(&WIDE);
            }
        }
        let [ret, one, two] = types;
        let mut writer = Writer::new(random, vec![Var::new("x", one), Var::new("y", two)], 6, 0);
        writer.block(4);
        let (result, last) = (writer.expr(1), writer.expr(2));
        let body = writer.text;
        let _ = write!(
            text,
            "{kind} {ret} f{function}({one} x, {two} y) {{\n{LOCALS}{body}sum += {result};\nreturn sum ^ {last};\n}}\n"
        );
    }
    for program in 0..BATCH {
        let mut writer = Writer::new(random, Vec::new(), 14, 3);
        writer.block(8);
        let result = writer.expr(1);
        let body = writer.text;
        let _ = write!(
            text,
            "__attribute__((section(\"socket\"))) int prog{program}(void *ctx) {{\n{LOCALS}{body}\
             sum += {result};\nsum = sum * 31 + r.a + r.b + r.c + r.f1 + r.f2 + r.d + r.f3 + p->a + p->in.y;\n\
             sum = sum * 31 + p->f4 + r.f5 + p->f6 + r.u.half[0] + w0 + (unsigned long)(w0 >> 64) + g0 + g1 + hidden[0];\n\
             for (int i = 0; i < 8; i++) sum = sum * 33 + arr[i];\nout[{program}] = sum;\nreturn sum;\n}}\n"
        );
    }
    text
}
