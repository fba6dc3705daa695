//! One type as text, the way `bpftool btf dump ... format raw` lists it.

use std::fmt;

use crate::blob::Btf;
use crate::kind::{Enum, Int, Kind, Linkage, NameOff, TypeId};

/// Prints a type: its number, kind, name and properties, and a line for each member, constant or parameter.
///
/// ```
/// # let mut blob = vec![0x9f, 0xeb, 1, 0];
/// # for word in [24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32] {
/// #     blob.extend_from_slice(&u32::to_le_bytes(word));
/// # }
/// # blob.extend_from_slice(b"\0int\0");
/// use skep_btf::{Btf, RawType, TypeId};
///
/// let btf = Btf::parse(blob)?;
/// let line = RawType(&btf, TypeId(1)).to_string();
/// assert_eq!(line, "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RawType<'a>(pub &'a Btf, pub TypeId);

/// A name in quotes.
struct Name<'a>(&'a Btf, NameOff);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.string(self.1) {
            Ok("") => f.write_str("'(anon)'"),
            Ok(name) => write!(f, "'{name}'"),
            Err(_) => write!(f, "'(no string {})'", self.1.0),
        }
    }
}

impl fmt::Display for RawType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(btf, id) = *self;
        let Ok(kind) = btf.kind(id) else { return write!(f, "[{}] (no such type)", id.0) };
        let name = btf.record(id).ok().and_then(|mut words| words.next()).unwrap_or(0);
        write!(f, "[{}] {} {}", id.0, kind.name(), Name(btf, NameOff(name)))?;
        match kind {
            Kind::Void => Ok(()),
            Kind::Int(int) => {
                let Int { size, bits, bit_offset, .. } = int;
                write!(f, " size={size} bits_offset={bit_offset} nr_bits={bits} encoding={}", encoding(int))
            }
            Kind::Ptr(target)
            | Kind::Typedef(target)
            | Kind::Volatile(target)
            | Kind::Const(target)
            | Kind::Restrict(target)
            | Kind::TypeTag(target) => write!(f, " type_id={}", target.0),
            Kind::Array(array) => {
                write!(f, " type_id={} index_type_id={} nr_elems={}", array.element.0, array.index.0, array.len)
            }
            Kind::Fwd { union } => write!(f, " fwd_kind={}", if union { "union" } else { "struct" }),
            Kind::Func { proto, linkage } => write!(f, " type_id={} linkage={}", proto.0, linkage_name(linkage)),
            Kind::Var { ty, linkage } => write!(f, " type_id={}, linkage={}", ty.0, linkage_name(linkage)),
            Kind::Float { size } => write!(f, " size={size}"),
            Kind::DeclTag(tag) => {
                // The whole declaration is component -1.
                let component = tag.component.map_or(-1, |component| component.cast_signed());
                write!(f, " type_id={} component_idx={component}", tag.target.0)
            }
            kind => parts(btf, kind, f),
        }
    }
}

/// The kinds that have a line for each of their parts.
fn parts(btf: &Btf, kind: Kind<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        Kind::Struct(composite) | Kind::Union(composite) => {
            write!(f, " size={} vlen={}", composite.size, composite.members().len())?;
            for member in composite.members() {
                let name = Name(btf, member.name);
                write!(f, "\n\t{name} type_id={} bits_offset={}", member.ty.0, member.bit_offset)?;
                if member.bits > 0 {
                    write!(f, " bitfield_size={}", member.bits)?;
                }
            }
        }
        Kind::Enum(values) | Kind::Enum64(values) => constants(btf, values, f)?,
        Kind::FuncProto(proto) => {
            write!(f, " ret_type_id={} vlen={}", proto.result.0, proto.params().len())?;
            for param in proto.params() {
                write!(f, "\n\t{} type_id={}", Name(btf, param.name), param.ty.0)?;
            }
        }
        Kind::Datasec { size, vars } => {
            write!(f, " size={size} vlen={}", vars.iter().len())?;
            for var in vars.iter() {
                write!(f, "\n\ttype_id={} offset={} size={}", var.ty.0, var.offset, var.size)?;
                if let (Ok(kind), Ok(name)) = (btf.kind(var.ty), btf.name(var.ty)) {
                    write!(f, " ({} '{name}')", kind.name())?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn constants(btf: &Btf, values: Enum<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if values.signed { "SIGNED" } else { "UNSIGNED" };
    write!(f, " encoding={sign} size={} vlen={}", values.size, values.values().len())?;
    for constant in values.values() {
        write!(f, "\n\t{} val=", Name(btf, constant.name))?;
        match (values.wide, values.signed) {
            (true, true) => write!(f, "{}LL", constant.value)?,
            (true, false) => write!(f, "{}ULL", constant.value.cast_unsigned())?,
            (false, _) => write!(f, "{}", constant.value)?,
        }
    }
    Ok(())
}

fn encoding(int: Int) -> &'static str {
    match (int.signed, int.char, int.bool) {
        (false, false, false) => "(none)",
        (true, false, false) => "SIGNED",
        (false, true, false) => "CHAR",
        (false, false, true) => "BOOL",
        _ => "UNKN",
    }
}

fn linkage_name(linkage: Linkage) -> &'static str {
    match linkage {
        Linkage::Static => "static",
        Linkage::Global => "global",
        Linkage::Extern => "extern",
        Linkage::Other(_) => "(unknown)",
    }
}
