//! Functions that are verified by themselves although they look at the packet: the kernel wants to know their context by its
//! type.

use skep_btf::{BtfBuilder, BuildError, Int, Linkage, NewType, TypeId};
use skep_ir::{Block, Cond, FuncKind, Function, Memory, Type, Value};

use super::code::{self, Code};
use super::{Hook, Maps};

/// A packet and what is needed to read it.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The context.
    pub context: Value,
    /// The working memory.
    pub memory: Value,
    /// Room for headers: 40 bytes.
    pub head: Value,
    /// Where the program runs.
    pub hook: Hook,
}

impl View {
    /// Reads bytes of the packet into the buffer; leaves for a block if they are not there.
    pub fn fetch(&self, code: &mut Code<'_>, at: Value, bytes: i64, missing: Block) {
        self.fetch_to(code, at, self.head, bytes, missing);
    }

    /// As [`fetch`](Self::fetch), into other memory.
    pub fn fetch_to(&self, code: &mut Code<'_>, at: Value, to: Value, bytes: i64, missing: Block) {
        let helper = if self.hook == Hook::Xdp { code::XDP_LOAD } else { code::SKB_LOAD };
        let bytes = code.num(bytes);
        let failed = code.helper(helper, &[self.context, at, to, bytes]);
        code.leave_if(missing, Cond::Ne, failed, 0);
    }
}

/// Types of functions that get the context of traffic control.
pub struct Types {
    builder: BtfBuilder,
    number: TypeId,
    context: TypeId,
}

impl Types {
    /// The types of their parameters.
    ///
    /// # Errors
    /// None but for a defect.
    pub fn new() -> Result<Self, BuildError> {
        let mut builder = BtfBuilder::new();
        let number = Int { size: 8, signed: false, char: false, bool: false, bit_offset: 0, bits: 64 };
        let number = builder.add("unsigned long long", NewType::Int(number))?;
        // The kernel knows it by its name.
        let packet = builder.add("__sk_buff", NewType::Struct { size: 0, members: &[] })?;
        let context = builder.add("", NewType::Ptr(packet))?;
        Ok(Self { builder, number, context })
    }

    /// A function of traffic control that is verified by itself: its parameters are the context and so many numbers. It
    /// returns a number, `otherwise` without working memory.
    ///
    /// # Errors
    /// None but for a defect.
    pub fn function(
        &mut self,
        name: &str,
        numbers: usize,
        (maps, hook, otherwise): (&Maps, Hook, i64),
        body: impl FnOnce(&mut Code<'_>, &View, &[Value]),
    ) -> Result<Function, BuildError> {
        let names: Vec<String> = (0..numbers).map(|number| format!("arg{number}")).collect();
        let mut params = vec![("ctx", self.context)];
        params.extend(names.iter().map(|name| (name.as_str(), self.number)));
        let proto = self.builder.add("", NewType::FuncProto { result: self.number, params: &params })?;
        let ty = self.builder.add(name, NewType::Func { proto, linkage: Linkage::Global })?;
        let mut params = vec![Type::ptr(Memory::Context)];
        params.extend(vec![Type::I64; numbers]);
        let mut function = Function::new(name, FuncKind::Global, &params, Some(Type::I64));
        function.ty = ty.0;
        code::write(&mut function, |code, params| {
            let memory = code.only(maps.work, otherwise);
            let head = code.buffer(40);
            let view = View { context: params[0], memory, head, hook };
            body(code, &view, &params[1..]);
        });
        Ok(function)
    }

    /// All types as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.builder.to_bytes()
    }
}
