//! Programs in tables of operations (`struct_ops`), and the fields of the kernel that programs may write
//! (`check_struct_ops_btf_id`, `btf_struct_access` of `net/ipv4/bpf_tcp_ca.c` and `net/bpf/bpf_dummy_struct_ops.c`).

use std::sync::OnceLock;

use skep_btf::{Btf, Kind as Type, TypeId};
use skep_isa::{MapType, ProgType, helpers};
use skep_object::{MapSpec, Object, Program, Reference};

use crate::memory::Access;
use crate::profile::{Hook, Kernel};
use crate::reg::{Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::types::{self, Types};

/// Congestion control of TCP.
const TCP: &str = "tcp_congestion_ops";
/// The table for tests.
const DUMMY: &str = "bpf_dummy_ops";
/// Its only operation that may sleep.
const DUMMY_SLEEPS: &str = "test_sleepable";
/// Operations that no program can implement.
const UNSUPPORTED: &[(&str, &str)] = &[(TCP, "get_info")];
/// Helpers for congestion control beside those that all programs have.
const OF_TCP: &[&str] =
    &["tcp_send_ack", "sk_storage_get", "sk_storage_delete", "setsockopt", "getsockopt", "ktime_get_coarse_ns"];
/// Those that the operation `release` does not have.
const NOT_AT_RELEASE: &[&str] = &["setsockopt", "getsockopt"];

// TABLE
/// Fields of a `tcp_sock` that congestion control writes: a structure at its start, the path in it, and whether parts of
/// the field are written too.
const WRITTEN_BY_TCP: &[(&str, &str, bool)] = &[
    ("sock", "sk_pacing_rate", false),
    ("sock", "sk_pacing_status", false),
    ("inet_connection_sock", "icsk_ca_priv", true),
    ("inet_connection_sock", "icsk_ack.pending", false),
    ("tcp_sock", "snd_cwnd", false),
    ("tcp_sock", "snd_cwnd_cnt", false),
    ("tcp_sock", "snd_cwnd_stamp", false),
    ("tcp_sock", "snd_ssthresh", false),
    ("tcp_sock", "ecn_flags", false),
    ("tcp_sock", "app_limited", false),
];

/// The operation that a program implements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The structure of the kernel.
    table: String,
    /// Its member.
    member: String,
    /// The kernel's prototype of it.
    proto: TypeId,
    /// The prototype of the function that stands there without a program; names of its arguments say what may be null.
    stub: Option<TypeId>,
}

/// The operation that a program of an object implements; `None` if it is in no table that the kernel has.
pub fn operation(object: &Object, program: &Program, types: &Types) -> Option<Operation> {
    let (own, kernel) = (types.own.as_deref()?, types.kernel.as_deref()?);
    let is_this = |reference: &Reference| match reference {
        Reference::Program(index) => object.programs.get(index.index()).is_some_and(|one| one.name == program.name),
        Reference::Map(_) => false,
    };
    let tables = object.maps.iter().filter(|map| map.map_type == MapType::StructOps);
    let places = tables.flat_map(|map| map.references.iter().map(move |(off, reference)| (map, *off, reference)));
    let (map, off, _) = places.into_iter().find(|(_, _, reference)| is_this(reference))?;
    named(own, kernel, map, off)
}

fn named(own: &Btf, kernel: &Btf, map: &MapSpec, off: u32) -> Option<Operation> {
    let ty = own.resolve(TypeId(map.value_type?)).ok()?;
    let table = skep_btf::essential_name(own.name(ty).ok()?);
    let member = types::composite(own, ty)?.members().find(|member| member.bit_offset / 8 == off)?;
    let member = skep_btf::essential_name(own.string(member.name).ok()?);
    let theirs = types::composite(kernel, crate::kcall::structure(kernel, table)?)?;
    let found = theirs.members().find(|one| kernel.string(one.name) == Ok(member))?;
    let Ok(Type::Ptr(target)) = kernel.resolved(found.ty) else { return None };
    let proto = kernel.resolve(target).ok()?;
    if !matches!(kernel.kind(proto), Ok(Type::FuncProto(_))) {
        return None;
    }
    let stub = kernel.find_function(&format!("{table}__{member}")).and_then(|stub| match kernel.kind(stub) {
        Ok(Type::Func { proto, .. }) => Some(proto),
        _ => None,
    });
    Some(Operation { table: table.to_owned(), member: member.to_owned(), proto, stub })
}

/// What is allowed to programs in a table of operations of the newest kernel; `None` if it is not known.
pub fn hook(kernel: Kernel, operation: &Operation) -> Option<&'static Hook> {
    static TCP_HOOKS: OnceLock<[Hook; 2]> = OnceLock::new();
    static NOTHING: OnceLock<Hook> = OnceLock::new();
    if kernel < Kernel::newest() {
        return None;
    }
    match operation.table.as_str() {
        TCP => {
            let hooks = TCP_HOOKS.get_or_init(|| [of_tcp(kernel, &[]), of_tcp(kernel, NOT_AT_RELEASE)]);
            Some(&hooks[usize::from(operation.member == "release")])
        }
        DUMMY => Some(NOTHING.get_or_init(|| Hook::of(Vec::new(), Vec::new(), None))),
        _ => None,
    }
}

fn of_tcp(kernel: Kernel, without: &[&str]) -> Hook {
    // Programs of netfilter have what all have (`bpf_base_func_proto`) and nothing else.
    const NETFILTER: u32 = 45;
    let base = kernel.hook(ProgType::Netfilter, NETFILTER);
    let own = OF_TCP.iter().filter(|name| !without.contains(name)).filter_map(|name| helpers::by_name(name));
    let all =
        helpers::HELPERS.iter().map(|helper| helper.id).filter(|id| base.is_some_and(|base| base.has_helper(*id)));
    Hook::of(all.chain(own.map(|helper| helper.id)).collect(), Vec::new(), None)
}

impl Verifier<'_> {
    /// Whether programs can implement the operation at all, and this one may.
    ///
    /// # Errors
    /// If the kernel refuses it, whatever the program does.
    pub fn check_operation(&self) -> Result<(), (u32, Stop)> {
        let Some(operation) = &self.operation else { return Ok(()) };
        if !self.gpl {
            return Err((0, Reason::Rule(&rules::OPERATION_LICENCE).into()));
        }
        if UNSUPPORTED.contains(&(operation.table.as_str(), operation.member.as_str())) {
            return Err((0, Reason::Rule(&rules::OPERATION_MEMBER).into()));
        }
        match operation.table.as_str() {
            DUMMY if self.sleeps && operation.member != DUMMY_SLEEPS => {
                Err((0, Reason::Rule(&rules::OPERATION_MEMBER).into()))
            }
            DUMMY => Ok(()),
            _ if self.sleeps => Err((0, Stop::Undecided("operations that may sleep"))),
            _ => Ok(()),
        }
    }

    /// The type of an argument of the operation, and whether it may be null.
    ///
    /// # Errors
    /// If there is no such argument.
    pub fn argument_of_operation(&self, kernel: &Btf, index: usize) -> Step<(TypeId, bool)> {
        let unknown = Stop::Undecided("this operation");
        let operation = self.operation.as_ref().ok_or(unknown.clone())?;
        let Ok(Type::FuncProto(proto)) = kernel.kind(operation.proto) else { return Err(unknown) };
        let param = proto.params().nth(index).ok_or(Reason::Rule(&rules::CONTEXT_ARGUMENT))?;
        let name = operation.stub.and_then(|stub| match kernel.kind(stub) {
            Ok(Type::FuncProto(stub)) => stub.params().nth(index).and_then(|param| kernel.string(param.name).ok()),
            _ => None,
        });
        match name {
            Some(name) if name.ends_with("__ref") => Err(Stop::Undecided("arguments that are given to the program")),
            name => Ok((param.ty, name.is_some_and(|name| name.ends_with("__nullable")))),
        }
    }

    /// The structure that congestion control gets as the argument: a `sock` is the `tcp_sock` that it is a part of.
    pub fn promoted(&self, kernel: &Btf, ty: TypeId) -> TypeId {
        let tcp = self.operation.as_ref().is_some_and(|operation| operation.table == TCP);
        match kernel.name(ty) {
            Ok("sock") if tcp => crate::kcall::structure(kernel, "tcp_sock").unwrap_or(ty),
            _ => ty,
        }
    }

    /// Whether the operation returns nothing: then register 0 does not matter.
    pub fn returns_nothing(&self) -> bool {
        let (Some(operation), Some(kernel)) = (&self.operation, &self.types.kernel) else { return false };
        matches!(kernel.kind(operation.proto), Ok(Type::FuncProto(proto)) if proto.result == TypeId::VOID)
    }

    /// A store into a structure of the kernel.
    ///
    /// # Errors
    /// If programs of this type do not write this field.
    pub fn store_struct(&self, pointer: &Reg, access: Access) -> Step<()> {
        let Kind::Struct(ty, trust) = pointer.kind else { return Err(Stop::Undecided("structures of the kernel")) };
        let Some(kernel) = &self.types.kernel else { return Err(Stop::Undecided("the types of the kernel")) };
        let wrong = Err(Reason::Rule(&rules::STRUCT_WRITE).into());
        let off = pointer.fixed_offset().ok_or(Reason::Rule(&rules::STRUCT_OFFSET))?;
        let off = u32::try_from(off + access.off).map_err(|_| Reason::Rule(&rules::STRUCT_FIELD))?;
        let end = off.saturating_add(access.size);
        let name = kernel.name(TypeId(ty)).unwrap_or("");
        let table = self.operation.as_ref().map(|operation| operation.table.as_str());
        let within = |(structure, path, parts): &(&str, &str, bool)| {
            let Some((start, size)) = types::field_at_path(kernel, structure, path) else { return false };
            (off == start || (*parts && off >= start)) && end <= start + size
        };
        let fits = match (self.program.prog_type, table) {
            (ProgType::StructOps, Some(TCP)) if name == "tcp_sock" => WRITTEN_BY_TCP.iter().any(within),
            (ProgType::StructOps, Some(DUMMY)) if name == "bpf_dummy_ops_state" => {
                types::composite(kernel, TypeId(ty)).is_some_and(|state| end <= state.size)
            }
            (ProgType::StructOps, Some(TCP | DUMMY)) => return wrong,
            (ProgType::StructOps, _) => return Err(Stop::Undecided("fields of the kernel that programs write")),
            (ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp, _)
                if matches!(name, "nf_conn" | "nf_conn___init") =>
            {
                within(&("nf_conn", "mark", false))
            }
            _ => return wrong,
        };
        match trust {
            _ if !fits => wrong,
            Trust::Untrusted => Err(Stop::Undecided("stores through pointers that are not to be relied on")),
            _ => Ok(()),
        }
    }
}
