//! Analyses against their definitions, on random graphs.

use skep_ir::analysis::{Dominators, Liveness, Loops, Places, reverse_postorder, use_counts};
use skep_ir::{Block, Cond, Edge, Entity, FuncKind, Function, Inst, InstData, Loc, Slot, Type, Value, parse};
use skep_random::random_test;

/// A function with random edges; every block defines a value and reads some random one.
fn graph(bytes: &[u8]) -> Function {
    let mut function = Function::new("f", FuncKind::Static, &[], None);
    let count = usize::from(bytes.first().copied().unwrap_or(0) % 9) + 1;
    (1..count).for_each(|_| _ = function.add_block());
    let mut values = Vec::new();
    for number in 0..count {
        let inst = function.make_inst(InstData::Const(0), &[Type::I64], Loc::default());
        function[Block::new(number)].insts.push(inst);
        values.push(function[inst].results[0]);
    }
    for number in 0..count {
        let choice = |at: usize| usize::from(bytes.get(3 * number + at).copied().unwrap_or(0));
        let target = |at| Edge::to(Block::new(choice(at) % count));
        let value = values[choice(2) % count];
        let data = match choice(3) % 4 {
            0 => InstData::Return(Some(value)),
            1 => InstData::Jump(target(1)),
            _ => InstData::Branch { cond: Cond::Eq, args: [value, value], yes: target(1), no: target(2) },
        };
        let inst = function.make_inst(data, &[], Loc::default());
        function[Block::new(number)].insts.push(inst);
    }
    function
}

/// The blocks that can be reached from one, without passing through another.
fn reached(function: &Function, from: Block, without: Option<Block>) -> Vec<bool> {
    let mut seen = vec![false; function.block_count()];
    let mut stack = vec![from];
    while let Some(block) = stack.pop() {
        if Some(block) != without && !std::mem::replace(&mut seen[block.index()], true) {
            stack.extend(function.successors(block));
        }
    }
    seen
}

fn check_dominators(function: &Function, dominators: &Dominators) {
    let entry = function.entry();
    let all = reached(function, entry, None);
    assert_eq!(dominators.order().len(), all.iter().filter(|&&reached| reached).count());
    for &above in &function.blocks {
        let around = reached(function, entry, Some(above));
        for &below in &function.blocks {
            let expected = all[above.index()] && all[below.index()] && !around[below.index()];
            assert_eq!(dominators.dominates(above, below), expected, "{above} over {below}\n{function}");
        }
    }
    let children = dominators.children();
    for &block in &function.blocks {
        let strict = |other: &Block| *other != block && dominators.dominates(*other, block);
        let immediate = dominators.immediate(block);
        assert_eq!(immediate.is_some(), all[block.index()] && block != entry);
        if let Some(immediate) = immediate {
            assert!(function.blocks.iter().filter(|b| strict(b)).all(|other| dominators.dominates(*other, immediate)));
            assert!(children[immediate.index()].contains(&block));
        }
    }
}

fn check_loops(function: &Function, dominators: &Dominators) {
    let loops = Loops::new(function, dominators);
    for (at, each) in loops.all.iter().enumerate() {
        assert_eq!(each.blocks[0], each.header);
        for &block in &each.blocks {
            assert!(dominators.dominates(each.header, block));
            let back = reached(function, block, None);
            assert!(back[each.header.index()], "the header is reached again\n{function}");
        }
        for latch in &each.latches {
            assert!(function.successors(*latch).any(|next| next == each.header) && each.blocks.contains(latch));
        }
        if let Some(parent) = each.parent {
            assert!(parent < at && each.blocks.iter().all(|block| loops.all[parent].blocks.contains(block)));
        }
    }
    for &block in &function.blocks {
        let depth = loops.all.iter().filter(|each| each.blocks.contains(&block)).count();
        assert_eq!(loops.depth(block), depth, "{block}\n{function}");
        let in_cycle = dominators.is_reachable(block)
            && function.successors(block).any(|next| reached(function, next, None)[block.index()]);
        assert!(loops.is_irreducible() || in_cycle == (depth > 0), "{block}\n{function}");
    }
}

fn check_liveness(function: &Function) {
    let liveness = Liveness::new(function);
    let reads = |block: Block, value: Value| {
        let mut found = false;
        for &inst in &function[block].insts {
            function[inst].data.for_each_operand(|operand| found |= operand == value);
        }
        found
    };
    for &block in &reverse_postorder(function) {
        for value in (0..function.value_count()).map(Value::new) {
            // Value n is defined in block n.
            let home = Block::new(value.index());
            let behind = reached(function, block, Some(home));
            let expected = block != home && function.blocks.iter().any(|&b| behind[b.index()] && reads(b, value));
            assert_eq!(liveness.live_in(block).contains(&value), expected, "{value} at {block}\n{function}");
        }
        let out = liveness.live_out(function, block);
        assert!(out.iter().all(|v| function.successors(block).any(|n| liveness.live_in(n).contains(v))));
    }
}

#[test]
fn random_graphs() {
    random_test(|u| {
        let function = graph(u.arbitrary()?);
        let dominators = Dominators::new(&function);
        check_dominators(&function, &dominators);
        check_loops(&function, &dominators);
        check_liveness(&function);
        Ok(())
    })
    .budget_ms(1_500);
}

#[test]
fn a_nested_loop() {
    let text = "func @f: static {\nb0(v0: i64):\n jump b1\nb1:\n branch eq v0, v0 -> b2, b5\nb2:\n jump b3\nb3:\n \
                branch ne v0, v0 -> b3, b4\nb4:\n jump b1\nb5:\n return\nb6:\n jump b1\n}";
    let module = parse(text).unwrap();
    let function = &module.functions[0];
    let dominators = Dominators::new(function);
    let loops = Loops::new(function, &dominators);
    let shape: Vec<_> = loops.all.iter().map(|l| (l.header, l.latches.clone(), l.blocks.len(), l.parent)).collect();
    assert_eq!(shape, [(Block(1), vec![Block(4)], 4, None), (Block(3), vec![Block(3)], 1, Some(0))]);
    assert!(!loops.is_irreducible());
    assert_eq!((loops.depth(Block(3)), loops.depth(Block(5)), loops.innermost(Block(4))), (2, 0, Some(0)));
    assert!(!dominators.is_reachable(Block(6)));
    assert_eq!(dominators.immediate(Block(5)), Some(Block(1)));
    assert_eq!(use_counts(function), [4]);
    assert_eq!(function[Inst(0)].data, InstData::Jump(Edge::to(Block(1))));
}

#[test]
fn an_irreducible_loop_is_noticed() {
    let text = "func @f: static {\nb0(v0: i64):\n branch eq v0, v0 -> b1, b2\nb1:\n jump b2\nb2:\n jump b1\n}";
    let module = parse(text).unwrap();
    let function = &module.functions[0];
    assert!(Loops::new(function, &Dominators::new(function)).is_irreducible());
}

#[test]
fn objects_that_are_not_in_use_together_share_bytes() {
    let text = r#"license "GPL"
map m0 @m = hash key 64 value 8 entries 1
func f0 @f: static -> i64 {
  slot s0 64 align 8
  slot s1 64 align 8
  slot s2 30 align 8
  slot s3 8 align 8
b0(v0: i64):
  v1: ptr<stack> = slot_addr s0
  v2: ptr<stack> = slot_addr s1
  v3: ptr<stack> = slot_addr s2
  fill v1, 64, 0 align 8
  fill v3, 30, 0 align 2
  v4: ptr<map m0> = map_addr m0
  v5: i64 = call helper map_delete_elem(v4, v1)
  v6: i64 = const 9
  branch ult v0, v6 -> b1(), b2()
b1:
  v7: ptr<stack> = ptr_add_const v2, 8
  fill v2, 64, 1 align 8
  v8: i64 = load.64 v7 + 8
  jump b2()
b2:
  v9: i64 = load.8 v3 + 5
  return v9
}
"#;
    let places = |text: &str| Places::new(&parse(text).unwrap().functions[0]);
    let offsets = |places: &Places| [0, 1, 2, 3].map(|slot| places.offset(Slot::new(slot)));
    // The third is in use beside both; nothing uses the fourth.
    let found = places(text);
    assert_eq!((offsets(&found), found.size), ([Some(0), Some(0), Some(64), None], 96));
    // In a loop each may be touched behind the other.
    let found = places(&text.replace("  return v9", "  jump b1()").replace(
        "  jump b2()\n",
        "  branch ult v8, v6 -> b2(), b3()\nb3:\n  call helper map_delete_elem(v4, v1)\n  jump b2()\n",
    ));
    assert_eq!((offsets(&found), found.size), ([Some(0), Some(64), Some(128), None], 160));
    // An address that is kept somewhere may be used anywhere.
    let found =
        places(&text.replace("v4: ptr<map m0> = map_addr m0", "store.64 v3 + 8, v1\n  v4: ptr<map m0> = map_addr m0"));
    assert_eq!((offsets(&found), found.size), ([Some(0), Some(64), Some(128), None], 160));
    // A small frame is laid out in order.
    let found =
        places(&text.replace("slot s0 64", "slot s0 8").replace("slot s1 64", "slot s1 16").replace(", 64,", ", 8,"));
    assert_eq!((offsets(&found), found.size), ([Some(0), Some(8), Some(24), None], 56));
}
