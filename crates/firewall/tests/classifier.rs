//! The classifier against the linear reference: tables in memory, the programs in our machine and in the kernel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use skep_firewall::build::{self, Plan, add, plan, remove};
use skep_firewall::facts::Packet;
use skep_firewall::fuzz::{self, Random};
use skep_firewall::live::store::KernelTables;
use skep_firewall::machine::Machine;
use skep_firewall::program::{self, Hook};
use skep_firewall::rules::special::held;
use skep_firewall::rules::{Direction, RuleSet};
use skep_firewall::tables::layout::special;
use skep_firewall::tables::{Memory, Store as _, TableError};
use skep_firewall::verified::{KERNELS, refused};
use skep_firewall::zone::Zone;
use skep_firewall::{linear, rules::check::check};
use skep_kernel::{Capability, LoadError, LoadOptions, Loaded, TestInput, has_capability, load_with};

fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}

/// The first rule of a list that the tables find, against the first that matches.
fn compare_memory(rules: &RuleSet, tables: &Memory, orders: &[u64], random: &mut Random, packets: u32) {
    for _ in 0..packets {
        let (packet, place) = fuzz::packet(random);
        let Packet::Known(mut facts) = fuzz::read(&packet, place) else { continue };
        facts.held = held(&rules.conditions, &facts);
        let matching = |rule: &&usize| linear::matches(rules, &rules.rules[**rule], &facts, &fuzz::index);
        let all: Vec<usize> = (0..rules.rules.len()).collect();
        let expected = all.iter().find(matching).map(|&rule| orders[rule]);
        let found = tables.find(&facts, 0).map(|(order, _)| order);
        assert_eq!(found, expected, "{rules}\n{facts:?}");
        if let Some(first) = expected {
            let second = all.iter().filter(|rule| orders[**rule] > first).find(matching).map(|&rule| orders[rule]);
            assert_eq!(tables.find(&facts, first).map(|(order, _)| order), second, "{rules}\n{facts:?}");
        }
    }
}

#[test]
fn tables_find_what_the_list_finds_while_rules_come_and_go() {
    skep_random::random_test(|u| {
        let mut random = Random(u.arbitrary()?);
        let mut rules = fuzz::rules(&mut random, 40);
        let first = plan(&rules, &fuzz::index).unwrap();
        let mut tables = Memory::new(first.shape.sizes);
        // A list that is refused because a bucket is too full means nothing here.
        if first.fill(&mut tables).is_err_and(|error| error.problem.contains("compared one by one")) {
            return Ok(());
        }
        let mut placed: Vec<_> = first.rules;
        let mut next = special::FIRST + placed.len() as u32;
        for _ in 0..6 {
            let orders: Vec<u64> = placed.iter().map(|rule| rule.order).collect();
            compare_memory(&rules, &tables, &orders, &mut random, 20);
            tables.clock += 400_000_000;
            let at = random.below(placed.len() as u64 + 1) as usize;
            if random.one_in(2) && at < placed.len() {
                let gone = placed.remove(at);
                rules.rules.remove(at);
                assert_eq!(remove(&mut tables, &gone).unwrap(), gone.entries.len());
            } else {
                let rule = fuzz::rule(&mut random, &["near", "far"]);
                for condition in &rule.matches.conditions {
                    if !rules.conditions.contains(condition) {
                        rules.conditions.push(condition.clone());
                    }
                }
                let before = at.checked_sub(1).map(|at| placed[at].order);
                let order = build::between(before, placed.get(at).map(|rule| rule.order)).unwrap();
                let new = build::place(&rules, &rule, next, order, &fuzz::index).unwrap();
                next += 1;
                if let Err(error) = add(&mut tables, &new) {
                    assert!(matches!(error, TableError::Crowded(_) | TableError::Full(..)), "{error}");
                    continue;
                }
                placed.insert(at, new);
                rules.rules.insert(at, rule);
            }
        }
        Ok(())
    })
    .budget_ms(1_000);
}

#[test]
fn texts_are_read_and_printed() {
    skep_random::random_test(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        fuzz::texts(&bytes);
        Ok(())
    })
    .budget_ms(1_000);
}

/// A rule that is said to be hidden decides about no packet.
#[test]
fn hidden_rules_never_decide() {
    skep_random::random_test(|u| {
        let mut random = Random(u.arbitrary()?);
        let mut rules = fuzz::rules(&mut random, 30);
        // Places by which warnings name their rules.
        for (at, rule) in (0..).zip(&mut rules.rules) {
            rule.span = skep_diag::Span::new(at, at);
        }
        let hidden: Vec<usize> = check(&rules).iter().map(|warning| warning.span.start as usize).collect();
        for _ in 0..100 {
            let (packet, place) = fuzz::packet(&mut random);
            if let (_, _, Some(rule)) = fuzz::expected(&rules, &packet, place) {
                assert!(!hidden.contains(&rule), "{rules}\nrule {rule}");
            }
        }
        Ok(())
    })
    .budget_ms(1_000);
}

fn plan_without_state(rules: &RuleSet) -> Plan {
    let mut plan = plan(rules, &fuzz::index).unwrap();
    plan.shape.track = false;
    plan.shape.sizes.flows = 1;
    plan.shape.zone = Zone::default();
    plan
}

#[test]
fn programs_in_the_machine_say_what_the_list_says() {
    skep_random::random_test(|u| {
        let mut random = Random(u.arbitrary()?);
        let rules = fuzz::rules(&mut random, 30);
        let mut machine = Machine::new(&plan_without_state(&rules)).unwrap();
        for _ in 0..150 {
            let (packet, place) = fuzz::packet(&mut random);
            let (passes, mark, rule) = fuzz::expected(&rules, &packet, place);
            let before = rule.map(|rule| machine.packets(special::FIRST + rule as u32));
            machine.set_time(place.time.unwrap_or(0) * 1_000_000_000);
            let outcome = machine.run(&packet, place).unwrap();
            assert_eq!(outcome.passes, passes, "{rules}\n{packet:02x?}\n{place:?}\nrule {rule:?}");
            assert!(!passes || outcome.mark == mark, "{rules}\n{packet:02x?}");
            if let (Some(rule), Some(before)) = (rule, before) {
                assert_eq!(machine.packets(special::FIRST + rule as u32), before + 1);
            }
            // What XDP drops, traffic control would drop too.
            if place.direction == Direction::In && place.vlan.is_none() {
                let early = machine.run_xdp(&packet, place.interface).unwrap();
                let plain = skep_firewall::facts::Place { mark: 0, ..place };
                assert!(early || !fuzz::expected(&rules, &packet, plain).0, "{rules}\n{packet:02x?}");
            }
        }
        Ok(())
    })
    .budget_ms(1_000);
}

fn loaded(plan: &Plan) -> Option<(Loaded, KernelTables)> {
    if !has_capability(Capability::SysAdmin) {
        skip("loading programs needs CAP_SYS_ADMIN");
        return None;
    }
    let object = program::object(&plan.shape).unwrap();
    let loaded = match load_with(&object, &LoadOptions { pins: None, ..LoadOptions::default() }) {
        Ok(loaded) => loaded,
        Err(LoadError::Program { program, error }) => panic!("{program}: {error:#?}"),
        Err(error) => panic!("{error}"),
    };
    let open = |name: &str| {
        let at = object.maps.iter().position(|map| map.name == name).ok_or("no such map")?;
        skep_kernel::LoadedMap::by_id(loaded.maps[at].id()).map_err(|error| error.to_string())
    };
    let mut tables = KernelTables::open(open).unwrap();
    plan.fill(&mut tables).unwrap();
    Some((loaded, tables))
}

/// The context of a test run: fields of `struct __sk_buff` that may be given.
fn context(mark: u32) -> Vec<u8> {
    let mut bytes = vec![0; 192];
    bytes[8..12].copy_from_slice(&mark.to_ne_bytes());
    bytes
}

#[test]
fn programs_in_the_kernel_say_what_the_list_says() {
    let lists = if 1_000 > 1000 { 40 } else { 4 };
    for seed in 0..lists {
        let mut random = Random(seed);
        let rules = fuzz::rules(&mut random, 60);
        let plan = plan_without_state(&rules);
        let Some((loaded, tables)) = loaded(&plan) else { return };
        for _ in 0..400 {
            let (mut packet, place) = fuzz::packet(&mut random);
            // Test runs come from the loopback device, without a VLAN of their own, and need a whole header.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            // Their socket belongs to root.
            let place =
                skep_firewall::facts::Place { interface: 1, vlan: None, time: Some(now), owner: Some(0), ..place };
            let least = if packet.get(12..14) == Some(&[0x86, 0xdd]) { 54 } else { 34 };
            packet.resize(packet.len().max(least), 0);
            let hook = if place.direction == Direction::In { Hook::Ingress } else { Hook::Egress };
            let (passes, mark, rule) = fuzz::expected(&rules, &packet, place);
            let program = loaded.program(hook.program()).unwrap();
            let context = context(place.mark);
            let input = TestInput { data: &packet, context: &context, repeat: 1, ..TestInput::default() };
            let output = program.test(&input).unwrap();
            let said = i64::from(output.run.result.cast_signed()) == hook.pass();
            assert_eq!(said, passes, "{rules}\n{packet:02x?}\n{place:?}\nrule {rule:?}");
            let marked = u32::from_ne_bytes(output.context[8..12].try_into().unwrap());
            assert!(!passes || marked == mark, "{rules}\n{packet:02x?}\n{marked}");
        }
        assert!(tables.sizes().entries >= 1024);
    }
}

/// A packet of UDP from 10.2.0.1 to `10.TO.0.1` port 2000.
fn datagram(to: u8) -> Vec<u8> {
    let mut packet = vec![0; 12];
    packet.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 2, 0, 1, 10, to, 0, 1]);
    packet.extend([0x30, 0x39, 0x07, 0xd0, 0, 8, 0, 0]);
    packet
}

/// Ends the thread that asks, also behind a failed assertion.
struct End<'e>(&'e AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn verdicts_stay_right_while_rules_of_the_same_bucket_come_and_go() {
    let text = "drop in udp to 10.1.0.0/16 port 1000-4000\naccept in udp from 10.2.0.0/16\ndefault in drop";
    let rules = skep_firewall::parse(text, &|_| Err(String::new())).unwrap();
    let plan = plan_without_state(&rules);
    let Some((loaded, mut tables)) = loaded(&plan) else { return };
    let program = loaded.program(Hook::Ingress.program()).unwrap();
    let (dropped, accepted) = (datagram(1), datagram(9));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !ended.load(Ordering::Relaxed) {
                for (packet, expected) in [(&dropped, Hook::Ingress.drop()), (&accepted, Hook::Ingress.pass())] {
                    let result = program.test_run(packet, 100).unwrap().result;
                    assert_eq!(i64::from(result.cast_signed()), expected);
                    asked += 1;
                }
            }
            asked
        });
        let end = End(&ended);
        let mut random = Random(5);
        let mut there = Vec::new();
        for number in 0..3000 {
            let range = ["4100-9100", "5000-60000", "1-999"][random.below(3) as usize];
            let rule = format!("accept in udp to 10.1.0.0/16 port {range}");
            let rule = skep_firewall::rules::parse_rule(&rule, &rules).unwrap();
            // In front of both rules, between them, or behind.
            let order = 1 + random.below(3 << 32);
            let placed = build::place(&rules, &rule, special::FIRST + 2 + number % 900, order, &|_| None).unwrap();
            if let Err(error) = add(&mut tables, &placed) {
                // What was removed rests for a second; then there is room again.
                assert!(matches!(error, TableError::Full("entries", _)), "{error}");
                std::thread::sleep(std::time::Duration::from_millis(1100));
                add(&mut tables, &placed).unwrap();
            }
            there.push(placed);
            if there.len() > 40 {
                let gone = there.swap_remove(random.below(40) as usize);
                assert_eq!(remove(&mut tables, &gone).unwrap(), gone.entries.len());
            }
        }
        drop(end);
        assert!(asking.join().unwrap() > 0);
    });
}

/// Why short lists become code: the same programs with tables alone take longer, also when no rule decides.
#[test]
fn short_lists_cost_less_as_code() {
    for rules in [1, 8] {
        let text: String =
            (0..rules).map(|rule| format!("drop in udp from 10.3.{rule}.0/24 to port {rule}\n")).collect();
        let rules_of = skep_firewall::parse(&text, &|_| Err(String::new())).unwrap();
        let straight = plan_without_state(&rules_of);
        assert_eq!(straight.shape.straight.len(), rules);
        let mut tables = straight.clone();
        tables.shape.straight.clear();
        let Some((straight, _kept)) = loaded(&straight) else { return };
        let Some((tables, _also_kept)) = loaded(&tables) else { return };
        for hook in [Hook::Xdp, Hook::Ingress] {
            let mut best = [u128::MAX; 2];
            for _ in 0..15 {
                for (best, loaded) in best.iter_mut().zip([&straight, &tables]) {
                    let run = loaded.program(hook.program()).unwrap().test_run(&datagram(1), 20_000).unwrap();
                    assert_eq!(i64::from(run.result.cast_signed()), hook.pass());
                    *best = run.duration.as_nanos().min(*best);
                }
            }
            println!("{hook:?}, {rules} rules: {} ns as code, {} ns in tables", best[0], best[1]);
            assert!(best[0] < best[1], "{hook:?}, {rules} rules: {best:?}");
        }
    }
}

#[test]
fn kernels_load_what_random_lists_become() {
    let mut lists = 0u32;
    skep_random::random_test(|u| {
        let mut random = Random(u.arbitrary()?);
        let rules = fuzz::rules(&mut random, 12);
        // Compiling and verifying a list takes about a second, so each is for one kernel.
        let kernel = random.pick(&KERNELS);
        match refused(&rules, &fuzz::index, &[kernel]) {
            Ok(found) => assert!(found.is_none(), "{rules}\n{found:?}"),
            Err(error) => panic!("{rules}\n{error}"),
        }
        lists += 1;
        Ok(())
    })
    .budget_ms(2 * 1_000);
    println!("{lists} lists");
    assert!(lists > 0);
}
