//! Which types have to be complete before which.

use super::{CPrinter, Progress};
use crate::error::{BtfError, Problem};
use crate::kind::{Kind, TypeId};

impl CPrinter<'_> {
    /// Appends to the queue what the type needs and, if it is a declaration of its own, the type. The result says whether
    /// whoever refers to it needs it complete.
    ///
    /// A name behind a pointer is enough as a forward declaration, so such types are left for later.
    pub(super) fn order(&mut self, id: TypeId, through_pointer: bool) -> Result<bool, BtfError> {
        let named = |printer: &Self| printer.btf.name(id).map(|name| !name.is_empty());
        match self.state(id)?.ordered {
            Progress::Done => return Ok(true),
            Progress::Busy => {
                let composite = matches!(self.btf.kind(id)?, Kind::Struct(_) | Kind::Union(_));
                if composite && through_pointer && named(self)? {
                    return Ok(false);
                }
                return Err(BtfError::new(0, Problem::ContainsItself(id.0)));
            }
            Progress::No => {}
        }
        self.enter(id)?;
        let strong = self.order_new(id, through_pointer, named(self)?)?;
        self.leave();
        Ok(strong)
    }

    fn order_new(&mut self, id: TypeId, through_pointer: bool, named: bool) -> Result<bool, BtfError> {
        match self.btf.kind(id)? {
            Kind::Ptr(target) => {
                let strong = self.order(target, true)?;
                self.state(id)?.ordered = Progress::Done;
                Ok(strong)
            }
            Kind::Array(array) => self.order(array.element, false),
            Kind::Struct(composite) | Kind::Union(composite) => {
                if through_pointer && named {
                    return Ok(false);
                }
                self.state(id)?.ordered = Progress::Busy;
                for member in composite.members() {
                    self.order(member.ty, false)?;
                }
                if named {
                    self.queue.push(id);
                }
                self.state(id)?.ordered = Progress::Done;
                Ok(true)
            }
            Kind::Enum(_) | Kind::Enum64(_) | Kind::Fwd { .. } => {
                // Without a name it is printed where it is used, if it is.
                if named || !self.state(id)?.referenced {
                    self.queue.push(id);
                }
                self.state(id)?.ordered = Progress::Done;
                Ok(true)
            }
            Kind::Typedef(target) => {
                let strong = self.order(target, through_pointer)?;
                if through_pointer && !strong {
                    return Ok(false);
                }
                self.queue.push(id);
                self.state(id)?.ordered = Progress::Done;
                Ok(true)
            }
            Kind::Volatile(target) | Kind::Const(target) | Kind::Restrict(target) | Kind::TypeTag(target) => {
                self.order(target, through_pointer)
            }
            Kind::FuncProto(proto) => {
                let mut strong = self.order(proto.result, through_pointer)?;
                for param in proto.params() {
                    strong |= self.order(param.ty, through_pointer)?;
                }
                Ok(strong)
            }
            _ => {
                self.state(id)?.ordered = Progress::Done;
                Ok(false)
            }
        }
    }
}
