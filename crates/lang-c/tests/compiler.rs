//! Parser, checks and lowering: messages for what is wrong, and no panic on anything.

use std::fs;
use std::path::Path;

use skep_ir::Inlining;
use skep_ir::interp::{World, interpret};
use skep_lang_c::options::Options;
use skep_lang_c::pp::{MainFile, preprocess};
use skep_lang_c::provider::NoTypes;
use skep_lang_c::source::{Diags, NoFiles, Sources};
use skep_lang_c::{Unit, compile};

fn compiled(text: &str) -> (Option<Unit>, String) {
    let (mut sources, mut diags) = (Sources::new(), Diags::new());
    let options = Options::default();
    let main = MainFile { name: "test.c", text: text.as_bytes() };
    let tokens = preprocess(&main, &options, &NoFiles, &mut sources, &mut diags);
    let unit = compile(&tokens, &sources, &mut NoTypes::new(), &options, &mut diags);
    let messages = diags.render(&sources, false);
    (unit, messages)
}

/// What a program made of this body returns.
fn run(declarations: &str, body: &str) -> u64 {
    let text =
        format!("{declarations}\n__attribute__((section(\"socket\"))) int main_program(void *ctx) {{ {body} }}\n");
    let (unit, messages) = compiled(&text);
    let module = unit.unwrap_or_else(|| panic!("{messages}\n{text}")).module;
    if let Err(violations) = skep_ir::verify(&module) {
        panic!("{}\n{module}\n{text}", violations[0]);
    }
    let mut world = World::new(&module);
    let context = world.add_context(&[0; 64]);
    let function = module.function("main_program").expect("the program");
    let result =
        interpret(&module, function, &[context], &mut world).unwrap_or_else(|trap| panic!("{trap:?}\n{module}"));
    result.expect("a result")
}

#[test]
fn expressions_have_the_values_that_the_standard_says() {
    let table: &[(&str, &str, u64)] = &[
        ("", "return 1 + 2 * 3;", 7),
        ("", "int x = -7; return x / 2 == -3 && x % 2 == -1;", 1),
        ("", "unsigned char c = 250; c += 10; return c;", 4),
        ("", "signed char c = 127; c++; return c == -128;", 1),
        ("", "unsigned x = 1; return -1 < x;", 0),
        ("", "long x = -1; return x < 1u;", 1),
        ("", "_Bool b = 256; return b;", 1),
        ("", "return sizeof(long) + sizeof(char[3]) + sizeof(struct { int a; char b; });", 19),
        ("", "int a[4] = { [1] = 5, 6, [0] = 1 }; return a[0] + a[1] * 10 + a[2] * 100 + a[3];", 651),
        (
            "",
            "int s = 0; for (int i = 0; i < 10; i++) { if (i == 3) continue; if (i == 7) break; s += i; } return s;",
            18,
        ),
        ("", "int i = 0; do { i += 3; } while (i < 10); return i;", 12),
        ("", "int i = 5; while (i--) ; return i == -1;", 1),
        ("", "int x = 4; switch (x) { case 1: return 1; case 3 ... 5: x = 9; default: x++; } return x;", 10),
        ("", "int x = 0; again: if (x < 5) { x++; goto again; } return x;", 5),
        ("", "return ({ int y = 3; y * y; }) + (0 ?: 4);", 13),
        ("", "int x = 3, *p = &x, **q = &p; **q = 8; return x;", 8),
        ("", "int a[3] = { 1, 2, 3 }; int *p = a + 2; return p[-1] + *p - (p - a);", 3),
        ("", "const char *s = \"abc\"; return s[1] + sizeof(\"xyz\");", 102),
        (
            "struct s { unsigned a : 3, b : 5; int c : 4; };",
            "struct s s = { 9, 17, 7 }; s.c++; return s.a * 1000 + s.b * 10 + (s.c == -8);",
            1171,
        ),
        (
            "struct b { long f : 20; unsigned long u : 20; } b; static int n;",
            "return sizeof(+(n, b.f)) * 1000 + sizeof(+(b.f = 2)) * 100 + sizeof(+(++b.u)) * 10 + sizeof(+(long)(n, b.f));",
            4448,
        ),
        ("struct b { long f : 20; } b; static int n;", "return 1u <= ~(n, b.f);", 1),
        ("struct p { int x, y; };", "struct p a = { 1, 2 }, b = a; b.y = 5; a = b; return a.x * 10 + a.y;", 15),
        ("union u { int i; unsigned char c[4]; };", "union u u = { .i = 0x01020304 }; return u.c[0];", 4),
        (
            "struct o { int k; struct { int m; union { int n; char c; }; }; };",
            "struct o o = { 1, { 2, { 3 } } }; return o.m * 10 + o.n;",
            23,
        ),
        (
            "static __attribute__((always_inline)) inline int f(int *p) { *p += 2; return *p; }",
            "int x = 1; return f(&x) + f(&x) + x;",
            13,
        ),
        ("static int f(long a, char b) { return a * b; }", "return f(7, 6);", 42),
        (
            "struct v { long a, b; }; static inline struct v f(struct v v) { v.a += 1; return v; }",
            "struct v v = { 1, 2 }; return f(f(v)).a * 10 + v.a;",
            31,
        ),
        ("int g = 3; static unsigned short h[2] = { 1, 2 };", "g += h[1]++; return g * 10 + h[1];", 53),
        ("enum e { A, B = 5, C };", "enum e e = C; return e + A;", 6),
        ("", "return _Generic((long)1, int: 1, long: 2, default: 3);", 2),
        ("typedef int T;", "T T1 = 2; { int T = 3; T1 += T; } return T1;", 5),
        ("", "return __builtin_bswap16(0x1234) == 0x3412 && __builtin_clz(1) == 31 && __builtin_ctzl(8) == 3;", 1),
        ("", "return __builtin_popcountll(0xff00ff) * 100 + __builtin_ffs(0) + __builtin_ffs(4);", 1603),
        ("", "int x; return __builtin_add_overflow(2147483647, 1, &x) + (x < 0) * 2;", 3),
        (
            "",
            "char a[8] = \"hello\", b[8]; __builtin_memcpy(b, a, 8); return __builtin_memcmp(a, b, 8) == 0 && b[5] == 0;",
            1,
        ),
        ("", "char a[4] = { 1 }, b[4] = { 2 }; return __builtin_memcmp(a, b, 4) < 0;", 1),
        ("", "long x = 5; __sync_fetch_and_add(&x, 3); return __sync_val_compare_and_swap(&x, 8, 1) * 10 + x;", 81),
        ("", "int x = 2; x <<= 3; x |= 1; x ^= 3; return x;", 18),
        ("", "typeof(1 + 1l) x = 1; __auto_type y = x; return sizeof(y);", 8),
        ("", "int a[2][3] = { { 1, 2 }, { 4, 5, 6 } }; return a[1][2] * 10 + a[0][2];", 60),
        ("struct f { int n; int d[]; };", "return __builtin_offsetof(struct f, d) + sizeof(struct f);", 8),
        ("", "int x = 1; int y = x++ + ++x; return y * 10 + x;", 43),
        ("", "unsigned long x = 1; return (x << 40) >> 38;", 4),
        ("", "short s = -2; unsigned u = s; return u == 0xfffffffe;", 1),
        ("static int used; static void set(int v) { used = v; }", "set(4); (void)0; return used;", 4),
        (
            "struct __attribute__((packed)) p { char a; int b; short c; };",
            "struct p p = { 1, 0x01020304, 5 }; return sizeof(p) * 100 + (p.b == 0x01020304) + p.c;",
            706,
        ),
        (
            "static void done(int *p) { *p += 1; } static int total;",
            "{ int x __attribute__((cleanup(done))) = 3; total = x; } return total;",
            3,
        ),
        ("", "int n = 0; for (int i = 0; i < 3; i++) for (int j = i; j < 3; j++) n += i * j; return n;", 7),
        ("", "asm volatile(\"\" ::: \"memory\"); int x = 4; asm volatile(\"\" : \"+r\"(x)); return x;", 4),
        ("_Static_assert(sizeof(int) == 4, \"size\");", "return __builtin_types_compatible_p(int, const int);", 1),
    ];
    for (declarations, body, expected) in table {
        assert_eq!(run(declarations, body), *expected, "{declarations} {body}");
    }
}

#[test]
fn passed_functions_assembly_and_counts_have_their_values() {
    let table: &[(&str, &str, u64)] = &[
        (
            "static inline int twice(int x) { return 2 * x; } static inline int apply(int (*f)(int), int x) { return f(x); } \
             static inline int again(int (*f)(int), int x) { return apply(f, apply(f, x)) + 1; }",
            "return again(twice, 4);",
            17,
        ),
        ("static int three(void) { return 3; }", "int (*p)(void) = three; return p() + p();", 6),
        ("", "int x = 1; asm volatile(\".rept 5; %0 += 2; .endr\" : \"+r\"(x)); return x;", 11),
        ("", "int x; asm volatile(\"%0 = 4 - 1\" : \"=r\"(x)); return x;", 3),
        (
            "",
            "int x = 5; asm volatile(\"r1 = *(u32 *)%0; r1 += 1; *(u32 *)%0 = r1\" : \"+m\"(x) : : \"r1\", \"memory\"); \
             return x;",
            6,
        ),
        (
            "volatile int n = -1;",
            "int m = n; return (m > sizeof(long)) * 10 + (sizeof(long) < m) + 2 * (m == 4294967295ul);",
            11,
        ),
        (
            "volatile int n = 8;",
            "int m = n; if (m > sizeof(long)) return 1; if (sizeof(long) <= m) return 2; return 3;",
            2,
        ),
        (
            "#include <stdatomic.h>\nlong n = 6;",
            "__c11_atomic_fetch_and(&n, 3, memory_order_relaxed); return atomic_fetch_add(&n, 5) * 10 + atomic_load(&n);",
            27,
        ),
    ];
    for (declarations, body, expected) in table {
        assert_eq!(run(declarations, body), *expected, "{declarations} {body}");
    }
}

#[test]
fn messages_say_what_is_wrong() {
    let table: &[(&str, &[&str])] = &[
        ("int f(void) { return x; }", &["unknown name `x`", "return x"]),
        ("int f(void) { int count = 1; return coumt; }", &["unknown name `coumt`", "did you mean `count`?"]),
        (
            "struct s { int alpha; }; int f(struct s *p) { return p->alpa; }",
            &["no member `alpa`", "did you mean `alpha`?"],
        ),
        ("struct s { int a; }; int f(struct s *p) { return p.a; }", &["`->a`"]),
        ("int f(int a) { return a }", &["expected `;` behind `return`"]),
        ("float x;", &["no floating-point numbers"]),
        ("int f(void) { return 1.5; }", &["no floating-point numbers"]),
        ("int f(int n) { int a[n]; return a[0]; }", &["not a constant", "fixed stack"]),
        ("int f(void) { break; }", &["`break` stands in a loop only"]),
        ("int f(void) { goto out; }", &["no label `out`"]),
        ("int f(int a) { return a; } int g(void) { return f(); }", &["takes 1 argument, not 0"]),
        ("_Static_assert(1 == 2, \"never\");", &["static assertion failed: never"]),
        ("int f(const int *p) { *p = 1; return 0; }", &["`const`"]),
        ("int f(int (*p)(void)) { return p(); }", &["calls through pointers"]),
        ("static inline int f(int x) { return f(x - 1); } int g(void) { return f(3); }", &["calls itself"]),
        ("int f(void) { char a[600] = {}; return a[3]; }", &["`a` has 600 bytes", "512", "per-CPU array"]),
        ("__attribute__((section(\"xpd\"))) int f(void *c) { return 0; }", &["section `xpd`", "did you mean `xdp`?"]),
        ("int f(void) { switch (1) { case 2: case 2: return 1; } return 0; }", &["two cases for 2"]),
        ("int f(int x) { x / ; }", &["expected an expression, found `;`"]),
        ("long *f(long x) { return &x + &x; }", &["does not work on pointers"]),
        ("int f(long a) { __int128 x = a; return x / 10; }", &["constant powers of two"]),
        ("int f(__int128 a) { switch (a) { } return 0; }", &["takes an integer, not `__int128`"]),
        (
            "static __attribute__((noinline)) __int128 f(void) { return 1; } int g(void) { return f(); }",
            &["returns a `__int128` by value"],
        ),
        ("int f(short *p) { return __sync_fetch_and_add(p, 1); }", &["4 and 8 bytes only"]),
    ];
    for (text, parts) in table {
        let (unit, messages) = compiled(text);
        assert!(unit.is_none(), "{text} is accepted: {messages}");
        for part in *parts {
            assert!(messages.contains(part), "{text}\nlacks `{part}`:\n{messages}");
        }
    }
}

#[test]
fn sections_of_the_author_s_own_take_their_type_from_the_context() {
    let program = |section: &str, context: &str| {
        format!(
            "struct {context} {{ int len; }}; __attribute__((section(\"{section}\"))) int f(struct {context} *c) {{ return c->len; }}"
        )
    };
    for (context, expected) in [("__sk_buff", "sched_cls"), ("xdp_md", "xdp"), ("sk_msg_md", "sk_msg")] {
        let (unit, messages) = compiled(&program("my_own_name", context));
        assert!(messages.contains(&format!("type {expected} by its context")), "{messages}");
        assert!(unit.expect("a unit").module.to_string().contains(expected), "{context}");
    }
    for (section, context) in [("my_own_name", "other"), ("xpd", "xdp_md")] {
        let (unit, messages) = compiled(&program(section, context));
        assert!(unit.is_none() && messages.contains("no type of program has a section"), "{messages}");
    }
}

#[test]
fn look_ups_without_a_check_are_warned_of() {
    let head = "struct { int (*type)[1]; int *key; long *value; int (*max_entries)[8]; } m __attribute__((section(\".maps\")));\n\
                static void *(*lookup)(void *, const void *) = (void *)1;\n";
    let program = |body: &str| {
        format!(
            "{head}__attribute__((section(\"xdp\"))) int f(void *c) {{ int k = 0; long *v = lookup(&m, &k); {body} }}"
        )
    };
    let (unit, messages) = compiled(&program("*v += 1; return 2;"));
    assert!(unit.is_some() && messages.contains("`bpf_map_lookup_elem` returns may be null"), "{messages}");
    let (unit, messages) = compiled(&program("if (v) *v += 1; return 2;"));
    assert!(unit.is_some() && messages.is_empty(), "{messages}");
}

#[test]
fn the_optimiser_is_told_what_stays_a_function() {
    let text = "static int free_one(int x) { return x + 1; }\n\
                static __attribute__((noinline)) int kept(int x) { return free_one(x) * 2; }\n\
                __attribute__((section(\"socket\"))) int main_program(void *ctx) { return kept(free_one(3)); }\n";
    let (unit, messages) = compiled(text);
    let module = unit.unwrap_or_else(|| panic!("{messages}")).module;
    let inlining = |name: &str| module.functions.iter().find(|function| function.name == name).map(|f| f.inlining);
    assert_eq!(inlining("kept"), Some(Inlining::Never), "{module}");
    assert_eq!(inlining("free_one"), Some(Inlining::Free), "{module}");
    let mut world = World::new(&module);
    let context = world.add_context(&[0; 64]);
    let function = module.function("main_program").expect("the program");
    assert_eq!(interpret(&module, function, &[context], &mut world).expect("no trap"), Some(10));
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in
        [("(", ")"), ("{", "}"), ("-", ""), ("*", ""), ("a[", "]"), ("f(", ")"), ("(int)", ""), ("1+", "")]
    {
        for count in [300, 50_000] {
            let inner = format!("{}0{}", open.repeat(count), close.repeat(count));
            for text in [
                format!("int f(int a) {{ return {inner}; }}"),
                format!("int x = {inner};"),
                format!("int f(void) {inner}"),
            ] {
                drop(compiled(&text));
            }
        }
    }
    let long = format!("int f(int a) {{ return {}0; }}", "a+".repeat(20_000));
    assert!(compiled(&long).1.contains("operators in a row"));
    drop(compiled(&format!("int f(int a) {{ {} }}", "if (a) a++; ".repeat(3000))));
    drop(compiled(&format!("int f(int a) {{ {} return a; }}", "if (a) ; else ".repeat(3000))));
    drop(compiled(&"struct s { struct s2 { ".repeat(2000)));
    drop(compiled(&format!("int {}x;", "(*".repeat(3000))));
    drop(compiled("int a[] = { [0 ... 1000000000] = 1 };"));
}

#[test]
fn what_cannot_be_reached_ends() {
    // Each block of such a loop has one way in, from the loop itself.
    let (unit, messages) = compiled("int f(int x) { return 0; int n = 1; back: if (n++ < x) goto back; return n; }");
    assert!(unit.is_some(), "{messages}");
    let (unit, messages) = compiled("int f(int x) { for (;;) { if (x) break; continue; l: x++; goto l; } return x; }");
    assert!(unit.is_some(), "{messages}");
}

#[test]
fn repetitions_of_nothing_end() {
    let (_, messages) = compiled("int f(void) { asm volatile(\".rept 18446744073709551615\\n.endr\"); return 0; }");
    assert!(messages.contains(".rept"), "{messages}");
}

#[test]
fn broken_programs_give_messages() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files: Vec<Vec<u8>> = fs::read_dir(directory)
        .expect("the corpus")
        .flatten()
        .filter_map(|entry| fs::read(entry.path()).ok())
        .collect();
    skep_random::random_test(|u| {
        let mut text = u.choose(&files)?.clone();
        // Without its headers a program is all unknown names: a few declarations bring it further.
        text.splice(0..0, *b"#define SEC(x) __attribute__((section(x)))\ntypedef unsigned u32; typedef unsigned __u32; typedef unsigned long __u64;\n");
        for _ in 0..u.int_in_range(1..=4)? {
            let other = u.choose(&files)?;
            let (at, from) = (u.choose_index(text.len())?, u.choose_index(other.len())?);
            let len = u.int_in_range(0..=40)?.min(other.len() - from);
            let gone = u.int_in_range(0..=20)?.min(text.len() - at);
            text.splice(at..at + gone, other[from..from + len].iter().copied());
        }
        skep_lang_c::fuzz::compiler(&text);
        Ok(())
    })
    .budget_ms(1_000);
}
