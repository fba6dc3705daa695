//! What programs at typed hooks get: the arguments of a function or tracepoint of the kernel (`btf_ctx_access`).

use std::collections::HashMap;
use std::sync::OnceLock;

use skep_btf::{Btf, FuncProto, Kind as Type, TypeId};
use skep_isa::helpers::{HELPERS, Helper};
use skep_isa::{AttachType, ProgType};
use skep_object::AttachPoint;

use crate::profile::Hook;
use crate::reg::{Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::tracepoints::{self, Doubt};

/// Members of the context of an iterator: place among the arguments, and how far the structure can be relied on; none for
/// buffers.
type Members = &'static [(usize, Option<Trust>)];

// TABLE
/// Iterators, and what of their contexts may be null (`ctx_arg_info`); everything else is there.
const ITERATORS: &[(&str, Members)] = &[
    ("task", &[(1, Some(Trust::Trusted))]),
    ("task_file", &[(1, Some(Trust::Plain)), (3, Some(Trust::Plain))]),
    ("task_vma", &[(1, Some(Trust::Plain)), (2, Some(Trust::Plain))]),
    ("bpf_map", &[(1, Some(Trust::Trusted))]),
    ("bpf_prog", &[(1, Some(Trust::Plain))]),
    ("bpf_link", &[(1, Some(Trust::Plain))]),
    ("bpf_map_elem", &[(2, None), (3, None)]),
    ("bpf_sk_storage_map", &[(2, Some(Trust::Plain)), (3, None)]),
    ("sockmap", &[(2, None), (3, Some(Trust::Plain))]),
    ("cgroup", &[(1, Some(Trust::Trusted))]),
    ("tcp", &[(1, Some(Trust::Trusted))]),
    ("udp", &[(1, Some(Trust::Trusted))]),
    ("unix", &[(1, Some(Trust::Plain))]),
    ("netlink", &[(1, Some(Trust::Plain))]),
    ("ipv6_route", &[(1, Some(Trust::Plain))]),
    ("ksym", &[(1, Some(Trust::Plain))]),
];

/// The hook of another place of attachment, for types of programs that are checked alike everywhere.
pub fn alike(kernel: crate::Kernel, program: &skep_object::Program) -> Option<&'static Hook> {
    const PLACES: u32 = 64;
    let alike = matches!(program.prog_type, ProgType::SkSkb | ProgType::SkMsg);
    if alike { (0..PLACES).find_map(|place| kernel.hook(program.prog_type, place)) } else { None }
}

/// Helpers that only iterators have.
const OF_ITERATORS: &[&str] = &["seq_printf", "seq_write", "seq_printf_btf"];
/// Helpers of hooks at functions.
const OF_FUNCTIONS: &[&str] = &["get_func_arg", "get_func_arg_cnt", "get_attach_cookie"];
/// Helpers for which the kernel asks more about the hook.
const DOUBTFUL: &[&str] =
    &["setsockopt", "getsockopt", "d_path", "get_socket_cookie", "sock_from_file", "probe_write_user"];

/// What is allowed at a hook at a typed function, tracepoint or iterator of the newest kernel
/// (`tracing_prog_func_proto`); `None` for other hooks.
pub fn typed(kernel: crate::Kernel, program: &skep_object::Program) -> Option<&'static Hook> {
    static HOOKS: OnceLock<HashMap<AttachType, Hook>> = OnceLock::new();
    const ATTACH: [AttachType; 5] = [
        AttachType::TraceRawTp,
        AttachType::TraceFentry,
        AttachType::TraceFexit,
        AttachType::ModifyReturn,
        AttachType::TraceIter,
    ];
    if program.prog_type != ProgType::Tracing || kernel < crate::Kernel::newest() {
        return None;
    }
    HOOKS.get_or_init(|| ATTACH.into_iter().map(|attach| (attach, made(attach))).collect()).get(&program.attach_type?)
}

fn made(attach: AttachType) -> Hook {
    let function = matches!(attach, AttachType::TraceFentry | AttachType::TraceFexit | AttachType::ModifyReturn);
    let after = matches!(attach, AttachType::TraceFexit | AttachType::ModifyReturn);
    let may = |name: &str| match name {
        "get_func_ret" => after,
        _ if OF_ITERATORS.contains(&name) => attach == AttachType::TraceIter,
        "get_attach_cookie" if attach == AttachType::TraceRawTp => true,
        _ if OF_FUNCTIONS.contains(&name) => function,
        _ => true,
    };
    let helpers = HELPERS.iter().filter(|helper| helper.programs.contains(ProgType::Tracing) && may(helper.name));
    let (doubtful, sure): (Vec<_>, Vec<_>) = helpers.partition(|helper| DOUBTFUL.contains(&helper.name));
    let results = match attach {
        AttachType::ModifyReturn | AttachType::TraceRawTp => None,
        AttachType::TraceIter => Some(vec![0, 1]),
        _ => Some(vec![0]),
    };
    let ids = |list: Vec<&Helper>| list.into_iter().map(|helper| helper.id).collect();
    Hook::of(ids(sure), ids(doubtful), results)
}

impl Verifier<'_> {
    /// Whether a typed hook has a helper for which the kernel asks more than its kind; `None` if that is not known here.
    pub fn has_doubtful(&self, name: &str) -> Option<bool> {
        let (attach, target) = (self.program.attach_type?, &self.program.attach);
        let iterator = attach == AttachType::TraceIter;
        match name {
            _ if self.program.prog_type != ProgType::Tracing => None,
            "get_socket_cookie" | "sock_from_file" => Some(true),
            "setsockopt" | "getsockopt" => {
                Some(matches!(target, AttachPoint::Iterator(target) if matches!(target.as_str(), "tcp" | "unix")))
            }
            "d_path" if iterator => Some(true),
            _ => None,
        }
    }

    /// What a read of the context at a typed hook gives; `None` if the hook is of another kind.
    pub fn argument_of_hook(&mut self, off: i64, size: u32) -> Step<Option<Reg>> {
        match self.program.prog_type {
            ProgType::Tracing | ProgType::StructOps => {}
            ProgType::Lsm => return Err(Stop::Undecided("the arguments of security hooks")),
            ProgType::Ext => return Err(Stop::Undecided("programs that replace functions")),
            // Programs behind a redirection know the device that a frame leaves by.
            ProgType::Xdp if self.program.attach_type == Some(AttachType::XdpDevmap) && (off, size) == (20, 4) => {
                return Ok(Some(Reg::UNKNOWN));
            }
            _ => return Ok(None),
        }
        let Some(kernel) = self.types.kernel.clone() else { return Err(Stop::Undecided("the types of the kernel")) };
        let wrong = || Stop::Reject(Reason::Rule(&rules::CONTEXT_ARGUMENT));
        let index = usize::try_from(off).ok().filter(|off| off % 8 == 0).map(|off| off / 8).ok_or_else(wrong)?;
        let mut nullable = false;
        let (ty, trust) = match (&self.program.attach, self.program.attach_type) {
            _ if self.program.prog_type == ProgType::StructOps => {
                if off % i64::from(size) != 0 {
                    return Err(wrong());
                }
                let (ty, null) = self.argument_of_operation(&kernel, index)?;
                nullable = null;
                (ty, Trust::Trusted)
            }
            (AttachPoint::Iterator(target), _) => {
                let found = kernel.find_function(&format!("bpf_iter_{target}"));
                let found = found.ok_or(Stop::Undecided("an iterator that the kernel does not have"))?;
                let Ok(Type::Func { proto, .. }) = kernel.kind(found) else {
                    return Err(Stop::Undecided("this iterator"));
                };
                let Ok(Type::FuncProto(proto)) = kernel.kind(proto) else {
                    return Err(Stop::Undecided("this iterator"));
                };
                let ty = proto.params().nth(index).ok_or_else(wrong)?.ty;
                let Some((_, members)) = ITERATORS.iter().find(|(name, _)| name == target) else {
                    return Err(Stop::Undecided("the context of this iterator"));
                };
                match members.iter().find(|(place, _)| *place == index) {
                    None => (ty, Trust::Trusted),
                    Some(_) if size != 8 => return Err(wrong()),
                    Some((_, None)) => {
                        // Keys are only read.
                        let read_only = matches!((target.as_str(), index), ("bpf_map_elem" | "sockmap", 2));
                        let id = self.id();
                        return Ok(Some(Reg { read_only, ..Reg::nullable(Kind::Buffer, id) }));
                    }
                    Some((_, Some(trust))) => {
                        let Some((target, _)) = crate::types::pointee(&kernel, ty) else { return Err(wrong()) };
                        let id = self.id();
                        return Ok(Some(Reg::nullable(Kind::Struct(target.0, *trust), id)));
                    }
                }
            }
            (AttachPoint::RawTracepoint(name), _) => {
                let found = kernel.find_type(&format!("btf_trace_{name}"), |kind| matches!(kind, Type::Typedef(_)));
                let found = found.ok_or(Stop::Undecided("a tracepoint that the kernel does not have"))?;
                let Ok(Type::Ptr(proto)) = kernel.resolved(found) else {
                    return Err(Stop::Undecided("this tracepoint"));
                };
                let Ok(Type::FuncProto(proto)) = kernel.kind(proto) else {
                    return Err(Stop::Undecided("this tracepoint"));
                };
                // The first parameter is the registration's own.
                let ty = proto.params().nth(index + 1).ok_or_else(wrong)?.ty;
                if let Some(doubtful) = self.doubtful(&kernel, name, index, ty, size)? {
                    return Ok(Some(doubtful));
                }
                (ty, Trust::Trusted)
            }
            (AttachPoint::TypedFunction { module: None, name }, Some(attach)) => {
                let found = kernel.find_function(name);
                let found = found.ok_or(Stop::Undecided("a function that the kernel does not have"))?;
                let Ok(Type::Func { proto, .. }) = kernel.kind(found) else {
                    return Err(Stop::Undecided("this function"));
                };
                let Ok(Type::FuncProto(proto)) = kernel.kind(proto) else {
                    return Err(Stop::Undecided("this function"));
                };
                (argument_of(&proto, index, attach).ok_or_else(wrong)?, Trust::Plain)
            }
            _ => return Err(Stop::Undecided("the arguments of this hook")),
        };
        match kernel.resolved(ty) {
            Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)) => Ok(Some(Reg::UNKNOWN)),
            Ok(Type::Ptr(_)) if size != 8 => Err(wrong()),
            Ok(Type::Ptr(target)) => {
                let ty = kernel.resolve(target).map_err(|_| Stop::Undecided("this type"))?;
                match kernel.kind(ty) {
                    Ok(Type::Void) => Ok(Some(Reg::UNKNOWN)),
                    Ok(Type::Int(_)) => Ok(Some(Reg::UNKNOWN)),
                    Ok(Type::Struct(_)) if !is_tagged(&kernel, target) => {
                        let kind = Kind::Struct(self.promoted(&kernel, ty).0, trust);
                        let id = if nullable { self.id() } else { 0 };
                        Ok(Some(Reg { nullable, id, ..Reg::pointer(kind) }))
                    }
                    _ => Err(Stop::Undecided("arguments of this type")),
                }
            }
            _ => Err(Stop::Undecided("arguments of this type")),
        }
    }

    /// An argument of a tracepoint that may be null; `None` for those that never are.
    fn doubtful(&mut self, kernel: &Btf, tracepoint: &str, index: usize, ty: TypeId, size: u32) -> Step<Option<Reg>> {
        let Some((target, _)) = crate::types::pointee(kernel, ty) else { return Ok(None) };
        match tracepoints::doubt(self.kernel, tracepoint, index) {
            Doubt::None => Ok(None),
            Doubt::Error => Err(Stop::Undecided("arguments that may be errors")),
            Doubt::Null if size != 8 => Err(Reason::Rule(&rules::CONTEXT_ARGUMENT).into()),
            Doubt::Null if !matches!(kernel.kind(target), Ok(Type::Struct(_))) => {
                Err(Stop::Undecided("arguments of this type"))
            }
            Doubt::Null => {
                let id = self.id();
                Ok(Some(Reg::nullable(Kind::Struct(target.0, Trust::Trusted), id)))
            }
        }
    }
}

/// The type of an argument, or of the result behind them at hooks that have it.
fn argument_of(proto: &FuncProto<'_>, index: usize, attach: AttachType) -> Option<TypeId> {
    let count = proto.params().len();
    if index < count {
        return proto.params().nth(index).map(|param| param.ty);
    }
    let after = matches!(attach, AttachType::TraceFexit | AttachType::ModifyReturn);
    (index == count && after && proto.result != TypeId::VOID).then_some(proto.result)
}

/// Whether a pointer carries a tag that says whose memory it is.
fn is_tagged(kernel: &skep_btf::Btf, target: TypeId) -> bool {
    matches!(kernel.kind(target), Ok(Type::TypeTag(_)))
}
