//! Scripts with words left out, doubled and exchanged: whatever is written, the compiler answers with diagnostics or with a
//! module that follows the rules, that there is code for, and that the kernel accepts.

use skep_lang_script::lex::{Kind, Lexer};
use skep_random::random_test;

use super::world;

/// The words of a script with the space in front of them.
fn words(text: &str) -> Vec<String> {
    let mut lexer = Lexer::new(text);
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let token = lexer.token();
        let end = token.span.end as usize;
        if token.kind == Kind::End || end <= at {
            return words;
        }
        words.push(text[at..end].to_owned());
        at = end;
    }
}

#[test]
fn changed_scripts_are_compiled_or_refused() {
    let mut scripts: Vec<Vec<String>> = world::constructs().iter().map(|(_, text)| words(text)).collect();
    scripts.extend(world::tools().iter().map(|(_, text)| words(text)));
    let all: Vec<String> = scripts.iter().flatten().cloned().collect();
    random_test(|u| {
        let mut words = u.choose(&scripts)?.clone();
        for _ in 0..u.int_in_range(1..=4)? {
            let at = u.choose_index(words.len())?;
            match u.int_in_range(0..=3)? {
                0 => {
                    words.remove(at);
                }
                1 => words.insert(at, words[at].clone()),
                2 => words[at].clone_from(u.choose(&all)?),
                _ => {
                    let other = u.choose_index(words.len())?;
                    words.swap(at, other);
                }
            }
            if words.is_empty() {
                return Ok(());
            }
        }
        let text = words.concat();
        let Ok(compiled) = world::build("changed", &text) else { return Ok(()) };
        if let Err(violations) = skep_ir::verify(&compiled.module) {
            panic!("{text}\n{violations:?}");
        }
        // Too much stack is an answer; everything else is a mistake of the compiler.
        let object = match world::generate(&compiled.module, u.arbitrary()?) {
            Ok(object) => object,
            Err(message) => {
                assert!(message.contains("stack"), "{text}\n{message}");
                return Ok(());
            }
        };
        match world::load(&object) {
            Err(reason) if !too_many_paths(&text, &reason) => panic!("{text}\n{reason}"),
            _ => Ok(()),
        }
    })
    .budget_ms(1_000);
}

#[test]
fn generated_scripts_are_accepted_by_the_kernel() {
    random_test(|u| {
        let data: Vec<u8> = (0..u.int_in_range(20..=600)?).map(|_| u.arbitrary()).collect::<Result<_, _>>()?;
        let text = skep_lang_script::fuzz::generate::script(&data);
        // What is known while a script is compiled may divide by zero or be no element, too much may be wanted at once, and a
        // text of a map may be put together of others of that map.
        let fine = [
            "divides by zero",
            "there is no such element",
            "temporary values of this program take",
            "depend on one another without end",
        ];
        let compiled = match world::build("generated", &text) {
            Ok(compiled) => compiled,
            Err(problems) if fine.iter().any(|part| problems.contains(part)) => return Ok(()),
            Err(problems) => panic!("{text}\n{problems}"),
        };
        if let Err(violations) = skep_ir::verify(&compiled.module) {
            panic!("{text}\n{violations:?}");
        }
        let mut optimised = compiled.module.clone();
        skep_opt::optimise(&mut optimised, &skep_opt::Options::default());
        for module in [&compiled.module, &optimised] {
            match skep_codegen::compile(module, &skep_codegen::Options::default()) {
                Ok(object) => match world::load(&object) {
                    Err(reason) if too_many_paths(&text, &reason) => {}
                    result => result.unwrap_or_else(|reason| panic!("{text}\n{reason}")),
                },
                Err(error) => assert!(error.to_string().contains("stack"), "{text}\n{error}"),
            }
        }
        Ok(())
    })
    .budget_ms(1_000);
}

/// Whether the verifier gave up because of loops: loops in loops, and searches for what is only known at run time, can have
/// more paths than it goes. Everything else that it refuses is a mistake.
fn too_many_paths(text: &str, reason: &str) -> bool {
    let count = |words: &[&str]| words.iter().map(|word| text.matches(word).count()).sum::<usize>();
    let loops = count(&["for (", "while (", "unroll("]) + 2 * count(&["strcontains(", "strstr(", "memcmp("]);
    reason.contains("too large") && loops >= 2
}

/// The parser bounds how deep trees are; everything behind it must bear that depth.
#[test]
fn deep_trees_are_borne() {
    let scripts = [
        format!("begin {{ @ = nsecs{}; }}", " + nsecs".repeat(450)),
        format!("begin {{ @ = {}nsecs{}; }}", "(".repeat(120), " + 1)".repeat(120)),
        format!("begin {{ @ = nsecs{}; }}", " ?: nsecs".repeat(60)),
        format!("begin {{ {} @ = 1; {} }}", "if (nsecs) {".repeat(100), "}".repeat(100)),
        format!("begin {{ @ = {}1{}; }}", "(nsecs, ".repeat(60), ")".repeat(60)),
        format!("begin {{ @ = {}nsecs; }}", "!".repeat(130)),
    ];
    for text in scripts {
        if let Ok(compiled) = world::build("deep", &text) {
            skep_ir::verify(&compiled.module).unwrap_or_else(|violations| panic!("{violations:?}"));
        }
    }
}
