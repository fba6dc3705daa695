//! The options of `skep verify`.

use clap::{ArgGroup, Args};
use skep_verifier::{Kernel, Loader};

use super::ObjectArgs;

/// Tell whether kernels would load the programs of an object, and why not.
///
/// Nothing is loaded: the rules of the kernel's verifier are applied here, for a process with all capabilities unless others are
/// named. What needs rules that are not known here is undecided. Layouts of types are those of the running kernel.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("form").args(["states", "at", "dot"]), after_help = "Exit status: 0 if nothing is refused, 1 if something is, 2 wrong usage.

Examples:
  skep verify filter.bpf.o
  skep verify --kernel 6.1 --kernel 6.18 --prog handle_xdp filter.bpf.o
  skep verify --kernel 5.10..6.18 filter.bpf.o
  skep verify --unprivileged socket.bpf.o
  skep verify --capabilities bpf,net_admin filter.bpf.o
  skep verify --prog handle_xdp --at 31 filter.bpf.o
  skep verify --prog handle_xdp --dot filter.bpf.o | dot -Tsvg > filter.svg")]
pub struct VerifyArgs {
    #[command(flatten)]
    pub object: ObjectArgs,
    /// For this kernel: a release (5.4, 5.10, 5.15, 6.1, 6.6, 6.12, 6.18), those FROM..TO, or `live` for the running one; may be
    /// repeated. Without it for 6.1, 6.12 and 6.18, whose rules were compared with these kernels
    #[arg(long, value_name = "RELEASE", value_parser = kernels)]
    pub kernel: Vec<Kernels>,
    /// For a process with these capabilities alone: a list of bpf, perfmon, net_admin, sys_admin (which is bpf and perfmon), all,
    /// none. Without perfmon no address of the kernel may become visible, and what guesses of the processor could read is checked
    #[arg(long, value_name = "LIST", value_parser = capabilities)]
    pub capabilities: Option<Loader>,
    /// For a process without capabilities, on a kernel that lets it load programs (kernel.unprivileged_bpf_disabled is 0)
    #[arg(long, conflicts_with = "capabilities")]
    pub unprivileged: bool,
    /// Also refuse arithmetic with pointers, other than constants that are added to an address of the stack
    #[arg(long)]
    pub no_pointer_arithmetic: bool,
    /// Also tell what the programs that are accepted do: helpers, maps, packets, memory, instructions, stack
    #[arg(long)]
    pub facts: bool,
    /// Show what is known at each instruction, on the first paths that come there
    #[arg(long)]
    pub states: bool,
    /// Show that for the instructions of this source line
    #[arg(long, value_name = "LINE")]
    pub at: Option<u32>,
    /// Print the graph of each program for `dot`, the path to a refusal in red
    #[arg(long, conflicts_with = "json")]
    pub dot: bool,
    /// One JSON object for each program and kernel
    #[arg(long, conflicts_with_all = ["states", "at"])]
    pub json: bool,
}

/// Kernels that one option names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    /// The oldest first.
    pub kernels: Vec<Kernel>,
    /// Whether the running one is among them: its rules are those of the youngest that is not younger.
    pub live: bool,
}

fn capabilities(list: &str) -> Result<Loader, String> {
    Loader::from_names(list).map_err(|name| {
        format!("`{name}` is no capability that loading asks for; expected a list of bpf, perfmon, net_admin, sys_admin, all, none")
    })
}

fn kernels(text: &str) -> Result<Kernels, String> {
    let known = || Kernel::ALL.map(Kernel::name).join(", ");
    let one = |name: &str| {
        let found = if name == "live" {
            skep_kernel::running_release().and_then(Kernel::at_most)
        } else {
            Kernel::from_name(name)
        };
        found.ok_or_else(|| format!("the rules of `{name}` are not known; expected one of {}, A..B, or live", known()))
    };
    let live = text.split("..").any(|name| name == "live");
    let Some((first, last)) = text.split_once("..") else { return Ok(Kernels { kernels: vec![one(text)?], live }) };
    let (first, last) = (one(first)?, one(last)?);
    if first > last {
        return Err(format!("the range begins with the younger one; expected {}..{}", last.name(), first.name()));
    }
    let kernels = Kernel::ALL.into_iter().filter(|kernel| (first..=last).contains(kernel)).collect();
    Ok(Kernels { kernels, live })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_capabilities() {
        assert_eq!(capabilities("bpf,cap_net_admin"), Ok(Loader { perfmon: false, ..Loader::ALL }));
        assert!(capabilities("bpf,chown").is_err_and(|why| why.contains("`chown`") && why.contains("net_admin")));
    }

    #[test]
    fn ranges_of_kernels() {
        let some = |kernels: &[Kernel]| Ok(Kernels { kernels: kernels.to_vec(), live: false });
        assert_eq!(kernels("6.1"), some(&[Kernel::V6_1]));
        assert_eq!(kernels("5.15..6.6"), some(&[Kernel::V5_15, Kernel::V6_1, Kernel::V6_6]));
        assert_eq!(kernels("5.4..live").map(|found| (found.live, found.kernels[0])), Ok((true, Kernel::V5_4)));
        assert!(kernels("6.6..5.15").is_err_and(|why| why.contains("expected 5.15..6.6")));
        assert!(kernels("4.9").is_err_and(|why| why.contains("5.4, 5.10")));
    }
}
