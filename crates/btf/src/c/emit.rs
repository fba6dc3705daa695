//! Prints whole declarations, with forward declarations before them where they are needed.

use super::{CPrinter, Progress};
use crate::error::BtfError;
use crate::kind::{Composite, Kind, TypeId};

/// What gcc for AArch64 takes for granted when it describes vectors of polynomials.
const HIDDEN_TYPES: [(&str, &str); 4] = [
    ("__Poly8_t", "unsigned char"),
    ("__Poly16_t", "unsigned short"),
    ("__Poly64_t", "unsigned long long"),
    ("__Poly128_t", "unsigned __int128"),
];

/// The type behind variable argument lists, which every compiler knows without a declaration.
const BUILT_IN: &str = "__builtin_va_list";

impl CPrinter<'_> {
    /// Prints a type inside of the declaration of another one, or at the top (`container` is void).
    pub(super) fn emit(&mut self, id: TypeId, container: TypeId) -> Result<(), BtfError> {
        match self.state(id)?.emitted {
            Progress::Done => Ok(()),
            Progress::Busy => self.emit_forward(id, container),
            Progress::No => {
                self.enter(id)?;
                self.emit_new(id, container)?;
                self.leave();
                Ok(())
            }
        }
    }

    /// A type is needed that is just being printed: its name has to be known.
    fn emit_forward(&mut self, id: TypeId, container: TypeId) -> Result<(), BtfError> {
        if self.state(id)?.declared {
            return Ok(());
        }
        match self.btf.kind(id)? {
            // Inside of itself a structure is known.
            Kind::Struct(_) | Kind::Union(_) if id == container || self.btf.name(id)?.is_empty() => return Ok(()),
            Kind::Struct(_) | Kind::Union(_) => self.put_composite_name(id)?,
            Kind::Typedef(_) if self.btf.name(id)? != BUILT_IN => self.put_typedef(id)?,
            Kind::Typedef(_) => {
                self.state(id)?.declared = true;
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.state(id)?.declared = true;
        self.put([";\n\n"])
    }

    fn emit_new(&mut self, id: TypeId, container: TypeId) -> Result<(), BtfError> {
        let top = container == TypeId::VOID;
        match self.btf.kind(id)? {
            Kind::Int(_) => {
                let name = self.btf.name(id)?;
                for (_, definition) in HIDDEN_TYPES.iter().filter(|(hidden, _)| *hidden == name) {
                    self.put(["typedef ", definition, " ", name, ";\n\n"])?;
                }
            }
            Kind::Enum(_) | Kind::Enum64(_) if top => {
                self.put_enum(id, 0)?;
                self.put([";\n\n"])?;
            }
            Kind::Enum(_) | Kind::Enum64(_) => {}
            Kind::Fwd { .. } => {
                self.put_fwd(id)?;
                self.put([";\n\n"])?;
            }
            Kind::Typedef(target) => {
                self.state(id)?.emitted = Progress::Busy;
                self.emit(target, id)?;
                if !self.state(id)?.declared && self.btf.name(id)? != BUILT_IN {
                    self.put_typedef(id)?;
                    self.put([";\n\n"])?;
                }
            }
            Kind::Struct(composite) | Kind::Union(composite) => return self.emit_composite(id, composite, container),
            // Everything else has no declaration of its own.
            other => return self.emit_parts(other, container),
        }
        self.state(id)?.emitted = Progress::Done;
        Ok(())
    }

    /// What a type without declaration consists of.
    fn emit_parts(&mut self, kind: Kind<'_>, container: TypeId) -> Result<(), BtfError> {
        match kind {
            Kind::Ptr(target)
            | Kind::Volatile(target)
            | Kind::Const(target)
            | Kind::Restrict(target)
            | Kind::TypeTag(target) => self.emit(target, container),
            Kind::Array(array) => self.emit(array.element, container),
            Kind::FuncProto(proto) => {
                self.emit(proto.result, container)?;
                proto.params().try_for_each(|param| self.emit(param.ty, container))
            }
            _ => Ok(()),
        }
    }

    fn emit_composite(&mut self, id: TypeId, composite: Composite<'_>, container: TypeId) -> Result<(), BtfError> {
        let top = container == TypeId::VOID;
        let anonymous = self.btf.name(id)?.is_empty();
        self.state(id)?.emitted = Progress::Busy;
        if top || anonymous {
            // All members will be spelled out, so that their types have to be known.
            let inside = if anonymous { container } else { id };
            for member in composite.members() {
                self.emit(member.ty, inside)?;
            }
        } else if !self.state(id)?.declared && id != container {
            self.put_composite_name(id)?;
            self.put([";\n\n"])?;
            self.state(id)?.declared = true;
        }
        let mut progress = Progress::No;
        if top {
            self.put_composite(id, composite, 0)?;
            self.put([";\n\n"])?;
            progress = Progress::Done;
        }
        self.state(id)?.emitted = progress;
        Ok(())
    }

    pub(super) fn put_typedef(&mut self, id: TypeId) -> Result<(), BtfError> {
        let name = self.name_of(id)?;
        match self.btf.kind(id)? {
            // Old releases of gcc say that this one is void.
            Kind::Typedef(TypeId::VOID) if name == "__gnuc_va_list" => self.put(["typedef ", BUILT_IN, " ", &name]),
            Kind::Typedef(target) => {
                self.put(["typedef "])?;
                self.put_declaration(target, &name, 0)
            }
            _ => Ok(()),
        }
    }
}
