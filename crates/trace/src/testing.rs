//! What tests of this crate share: values as bytes, names without a machine.

use std::sync::Arc;

use skep_lang_script::plan::{Enumeration, Shape, lay_out};

use crate::names::{Clock, Names, StackId, Symbol, Symbols};

/// Builds bytes with their shapes.
pub(crate) struct Build;

impl Build {
    pub(crate) fn int(number: i64) -> (Shape, Vec<u8>) {
        (Shape::Int { bytes: 8, signed: true }, number.to_le_bytes().into())
    }
    pub(crate) fn unsigned(number: u64) -> (Shape, Vec<u8>) {
        (Shape::Int { bytes: 8, signed: false }, number.to_le_bytes().into())
    }
    pub(crate) fn bool(value: bool) -> (Shape, Vec<u8>) {
        (Shape::Bool, vec![value.into()])
    }
    pub(crate) fn enumerator(number: i64) -> (Shape, Vec<u8>) {
        (Shape::Enum { bytes: 8, enumeration: 0 }, number.to_le_bytes().into())
    }
    pub(crate) fn pointer(number: u64) -> (Shape, Vec<u8>) {
        (Shape::Pointer, number.to_le_bytes().into())
    }
    pub(crate) fn text(text: &str, room: u32) -> (Shape, Vec<u8>) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(room as usize, 0);
        (Shape::Text(room), bytes)
    }
    pub(crate) fn buffer(content: &[u8], room: u32) -> (Shape, Vec<u8>) {
        let mut bytes = u32::try_from(content.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(4 + room as usize, 0);
        (Shape::Buffer(room), bytes)
    }
    pub(crate) fn kernel_stack(hash: u64, frames: u32) -> (Shape, Vec<u8>) {
        let mut bytes = hash.to_le_bytes().to_vec();
        bytes.extend_from_slice(&frames.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        (Shape::Stack { kernel: true, dwarf: false, mode: Default::default(), limit: 127 }, bytes)
    }
    fn lay(values: &[(Shape, Vec<u8>)]) -> (Vec<skep_lang_script::plan::Field>, Vec<u8>) {
        let fields = lay_out(0, values.iter().map(|value| value.0.clone()));
        let mut bytes = Vec::new();
        for (field, value) in fields.iter().zip(values) {
            bytes.resize(field.offset as usize, 0);
            bytes.extend_from_slice(&value.1);
        }
        (fields, bytes)
    }
    pub(crate) fn tuple(values: &[(Shape, Vec<u8>)]) -> (Shape, Vec<u8>) {
        let (fields, mut bytes) = Self::lay(values);
        let shape = Shape::Tuple(fields);
        bytes.resize(shape.size() as usize, 0);
        (shape, bytes)
    }
    pub(crate) fn record(values: &[(&str, (Shape, Vec<u8>))]) -> (Shape, Vec<u8>) {
        let (fields, mut bytes) = Self::lay(&values.iter().map(|value| value.1.clone()).collect::<Vec<_>>());
        let named = values.iter().map(|value| Arc::from(value.0)).zip(fields).collect();
        let shape = Shape::Record(named);
        bytes.resize(shape.size() as usize, 0);
        (shape, bytes)
    }
}

/// One enumeration: AA is 1, BB is 2.
pub(crate) fn enums() -> Vec<Enumeration> {
    vec![Enumeration { name: "E".into(), values: vec![(1, "AA".into()), (2, "BB".into())] }]
}

/// Symbols that tests can foresee.
#[derive(Debug)]
struct Fixed;

impl Symbols for Fixed {
    fn kernel(&mut self, address: u64) -> Option<Symbol<'_>> {
        (address >= 0x1000).then_some(Symbol { name: "do_syscall_64", offset: address % 0x1000, module: "" })
    }
    fn user(&mut self, pid: u32, address: u64) -> Option<Symbol<'_>> {
        (pid == 7 && address >= 0x1000).then_some(Symbol { name: "main", offset: address % 0x1000, module: "/bin/x" })
    }
    fn stack(&mut self, id: StackId, addresses: &mut Vec<u64>) {
        addresses.extend((0..u64::from(id.frames)).map(|frame| id.hash + frame));
    }
    fn same_trace(&mut self, hash: u64) -> u64 {
        hash & !0xff
    }
    fn build_id(&mut self, pid: u32, address: u64) -> Option<(&str, u64)> {
        (pid == 7).then_some(("a226e0f1", address % 0x1000))
    }
}

/// Names with [`Fixed`] symbols; boot was at 2026-11-27 09:43:21.387484720 UTC.
pub(crate) fn names() -> Names {
    Names::new(Box::new(Fixed), Clock::fixed(1_795_772_601_387_484_720))
}
