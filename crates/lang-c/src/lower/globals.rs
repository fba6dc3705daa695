//! Variables of the file: sections and bytes.

use std::rc::Rc;

use skep_ir::{Global, GlobalRef, InstData, Kfunc, Memory, Type};

use super::Lower;
use super::place::{Addr, Realm};
use crate::konst::{Const, Eval, Symbol};
use crate::parse::Parsed;
use crate::parse::ast::{ExprKind, Storage, VarId};
use crate::source::{Diag, Loc};
use crate::types::Quals;
use crate::unit::{Extern, ExternKind};

/// Addresses in an initialiser: place in bytes, what of, and where it is written.
type Addresses = Vec<(u32, Symbol, Loc)>;

/// Most bytes of one variable.
const LARGEST: u64 = 1 << 26;

impl Lower<'_> {
    /// The licence of the program: the text of a variable in section `license`.
    pub fn license(&mut self) -> Parsed<()> {
        let program = Rc::clone(&self.program);
        if self.bcc {
            self.module.license = "GPL".to_owned();
        }
        for var in &program.vars {
            let Some(init) = &var.init else { continue };
            match var.section.as_deref() {
                Some("license") => {
                    let bytes = self.init_bytes(var.ty, init)?;
                    let text: Vec<u8> = bytes.into_iter().take_while(|&byte| byte != 0).collect();
                    self.module.license = String::from_utf8_lossy(&text).into_owned();
                }
                Some("version") => {
                    let bytes = self.init_bytes(var.ty, init)?;
                    let word = bytes.get(..4).and_then(|word| word.try_into().ok()).unwrap_or([0; 4]);
                    self.unit.kernel_version = u32::from_le_bytes(word);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The place of a variable of the file, or the map that it is.
    pub fn global_addr(&mut self, var: VarId, loc: Loc) -> Parsed<Addr> {
        let program = Rc::clone(&self.program);
        let item = program.var(var);
        if item.section.as_deref() == Some(".maps") {
            let map = self.map(var)?;
            let base = self.f().value(InstData::MapAddr(map), Type::ptr(Memory::Map(map)));
            return Ok(Addr::new(base, 8));
        }
        if item.storage == Storage::Extern && item.section.as_deref() != Some(".kconfig") {
            let text = &item.name;
            return match item.section.as_deref() {
                Some(".ksyms") => Ok(self.kernel_variable(var)),
                _ => self.error(loc, format!("`{text}` is declared `extern`, but not defined")),
            };
        }
        let global = self.global(var)?;
        let align = u64::from(self.module.globals[skep_ir::Entity::index(global)].align);
        let base = self.f().value(InstData::GlobalAddr(global), Type::ptr(Memory::Global(global)));
        if self.types.in_arena(item.ty) {
            let base = self.f().make_ptr(base);
            return Ok(Addr { realm: Realm::Arena, ..Addr::new(base, align) });
        }
        Ok(Addr::new(base, align))
    }

    /// The place of a variable of the kernel (`__ksym`).
    fn kernel_variable(&mut self, var: VarId) -> Addr {
        let program = Rc::clone(&self.program);
        let item = program.var(var);
        // Of `void` there is nothing but the address.
        let ty = if self.types.is_void(item.ty) { 0 } else { self.btf_of(item.ty) };
        let made = Kfunc { name: item.name.to_string(), weak: item.weak, variable: Some(ty) };
        let number = self.module.add_kfunc(made);
        let base = self.f().value(InstData::KernelAddr(number), super::func::PTR);
        Addr::new(base, self.types.align(item.ty).max(1))
    }

    /// The number of a variable in the module.
    pub fn global(&mut self, var: VarId) -> Parsed<GlobalRef> {
        if let Some(&known) = self.globals.get(&var) {
            return Ok(known);
        }
        let program = Rc::clone(&self.program);
        let item = program.var(var);
        let size = self.types.size(item.ty).unwrap_or(0);
        if size > LARGEST {
            return self.error(item.loc, format!("`{}` has {size} bytes, variables have at most {LARGEST}", item.name));
        }
        let bytes = match &item.init {
            Some(init) => self.init_bytes(item.ty, init)?,
            None => vec![0; size as usize],
        };
        let section = match &item.section {
            _ if self.types.in_arena(item.ty) => skep_isa::sections::ARENA.to_owned(),
            Some(section) => section.to_string(),
            None => {
                let mut ty = item.ty;
                while let Some((of, _)) = self.types.element(ty) {
                    ty = of;
                }
                let constant = self.types.strip(ty).quals.has(Quals::CONST);
                let zero = bytes.iter().all(|&byte| byte == 0);
                match (constant, zero) {
                    (true, _) => ".rodata",
                    (_, true) => ".bss",
                    _ => ".data",
                }
                .to_owned()
            }
        };
        if !section.starts_with('.') {
            return self
                .push(Diag::error(item.loc, format!("`{}` is in section `{section}`", item.name)).with_help(
                    "variables are in `.data`, `.rodata`, `.bss` or sections whose names begin with these",
                ));
        }
        let align = self.types.align(item.ty).max(item.align).clamp(1, 8) as u32;
        let kconfig = section == ".kconfig";
        let ty = self.btf_of(item.ty);
        if !kconfig {
            let hidden = matches!(item.storage, Storage::Static | Storage::Local);
            let linkage = if hidden { skep_btf::Linkage::Static } else { skep_btf::Linkage::Global };
            let var = self.btf.var(&self.types, &item.name, item.ty, linkage);
            item.tags.iter().for_each(|tag| self.btf.tag(tag, var, None));
        }
        let made = Global { name: item.name.to_string(), section, bytes, align, ty };
        let number = self.module.add_global(made);
        self.globals.insert(var, number);
        if kconfig {
            let kind = ExternKind::Kconfig(number);
            self.unit.externs.push(Extern { name: item.name.to_string(), kind, weak: item.weak, loc: item.loc });
        }
        Ok(number)
    }

    /// A string literal; equal ones are one.
    pub fn string(&mut self, bytes: &Rc<[u8]>) -> GlobalRef {
        if let Some(&known) = self.strings.get(bytes) {
            return known;
        }
        let name = format!(".str.{}", self.strings.len());
        let made = Global { name, section: ".rodata".to_owned(), bytes: bytes.to_vec(), align: 1, ty: 0 };
        let number = self.module.add_global(made);
        self.strings.insert(bytes.clone(), number);
        number
    }

    /// A variable that is a table of operations of the kernel.
    pub fn table(&mut self, var: VarId) -> Parsed<()> {
        let program = Rc::clone(&self.program);
        let item = program.var(var);
        let (bytes, addresses) = match &item.init {
            Some(init) => self.init_parts(item.ty, init)?,
            None => (vec![0; self.types.size(item.ty).unwrap_or(0).min(LARGEST) as usize], Vec::new()),
        };
        let mut programs = Vec::new();
        for (at, symbol, loc) in addresses {
            let func = match symbol {
                Symbol::Func(func) => program.func(func),
                _ => return self.error(loc, "members of a table of operations are numbers, texts and programs"),
            };
            if super::program_section(func).is_none() {
                let text =
                    format!("`{}` in a table of operations is no program: it needs `SEC(\"struct_ops\")`", func.name);
                return self.error(loc, text);
            }
            programs.push((at, func.name.to_string()));
        }
        let (name, section) = (item.name.to_string(), item.section.as_deref().unwrap_or_default().to_owned());
        let ty = self.btf_of(item.ty);
        self.unit.tables.push(crate::unit::Table { name, section, bytes, ty, programs });
        Ok(())
    }

    /// The bytes that an initialiser gives.
    pub fn init_bytes(&mut self, ty: crate::types::QTy, init: &crate::parse::ast::Init) -> Parsed<Vec<u8>> {
        let (bytes, addresses) = self.init_parts(ty, init)?;
        match addresses.first() {
            None => Ok(bytes),
            Some((_, _, loc)) => self.push(
                Diag::error(*loc, "a global variable cannot be initialised with an address in BPF")
                    .with_help("keep an index or the text itself: `char name[16]` instead of `char *name`"),
            ),
        }
    }

    /// The bytes that an initialiser gives, and the addresses in it with their places.
    fn init_parts(&mut self, ty: crate::types::QTy, init: &crate::parse::ast::Init) -> Parsed<(Vec<u8>, Addresses)> {
        let mut addresses = Vec::new();
        let size = self.types.size(ty).unwrap_or(0).min(LARGEST);
        let mut bytes = vec![0u8; size as usize];
        let program = Rc::clone(&self.program);
        for entry in &init.entries {
            let at = entry.offset as usize;
            if let ExprKind::Str(text) = &entry.expr.kind
                && self.types.element(entry.ty).is_some()
            {
                for (target, byte) in bytes.iter_mut().skip(at).zip(text.iter()) {
                    *target = *byte;
                }
                continue;
            }
            let eval = Eval { types: &self.types, program: &program, variables: true };
            let value = match eval.eval(&entry.expr) {
                Some(Const::Int(value)) => value.into(),
                Some(Const::Wide(value)) => value,
                Some(Const::Addr(symbol, _)) => {
                    addresses.push((at as u32, symbol, entry.expr.loc));
                    continue;
                }
                None => return self.error(entry.expr.loc, "the initialiser of a global variable is not a constant"),
            };
            let width = self.types.size(entry.ty).unwrap_or(0).min(16) as usize;
            match entry.bits {
                None => {
                    let word = value.to_le_bytes();
                    for (target, byte) in bytes.iter_mut().skip(at).take(width).zip(word) {
                        *target = byte;
                    }
                }
                Some((bit, width)) => set_bits(&mut bytes, bit, width, value.cast_unsigned() as u64),
            }
        }
        Ok((bytes, addresses))
    }
}

fn set_bits(bytes: &mut [u8], bit: u64, width: u32, value: u64) {
    for number in 0..u64::from(width) {
        let at = bit + number;
        let Some(byte) = bytes.get_mut((at / 8) as usize) else { return };
        let mask = 1u8 << (at % 8);
        if value >> number & 1 == 1 { *byte |= mask } else { *byte &= !mask }
    }
}
