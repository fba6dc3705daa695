//! The options of `skep build`, and those about C that `skep run` and `skep load` share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How C is read.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct SourceArgs {
    /// Define a macro: NAME, NAME=TEXT or 'NAME(a,b)=TEXT'
    #[arg(short = 'D', long = "define", value_name = "MACRO", help_heading = "C")]
    pub defines: Vec<String>,
    /// Undefine a macro
    #[arg(short = 'U', long = "undefine", value_name = "NAME", help_heading = "C")]
    pub undefines: Vec<String>,
    /// Look for headers in this directory, before those that skep has itself
    #[arg(short = 'I', long = "include-dir", value_name = "DIRECTORY", help_heading = "C")]
    pub include_dirs: Vec<PathBuf>,
    /// Read this file before the program
    #[arg(long = "include", value_name = "FILE", help_heading = "C")]
    pub includes: Vec<PathBuf>,
    /// Version of the instruction set
    #[arg(long, value_name = "VERSION", value_enum, default_value = "v3", help_heading = "C")]
    pub mcpu: CpuArg,
    /// Warn of what kernels from this release on do not have, for example 5.10; `skep build` also verifies for all of them
    #[arg(long, value_name = "RELEASE", help_heading = "C")]
    pub target_kernel: Option<String>,
    /// The program is in the dialect of BCC: `BPF_HASH(...)`, `map.increment(...)`, `kprobe__NAME`
    #[arg(long, help_heading = "C")]
    pub bcc: bool,
    /// Read this file for vmlinux.h instead of asking the kernel's types
    #[arg(long, value_name = "FILE", help_heading = "C")]
    pub vmlinux: Option<PathBuf>,
    /// The types of a kernel (BTF) from a file; without it those of the running kernel
    #[arg(long, value_name = "FILE", help_heading = "C")]
    pub btf: Option<PathBuf>,
}

/// Versions of the instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CpuArg {
    /// The original one.
    V1,
    /// More conditions.
    V2,
    /// 32-bit jumps, atomic operations with result (Linux 5.12).
    #[default]
    V3,
    /// Sign extension, signed division (Linux 6.6).
    V4,
}

/// Languages of skeletons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SkeletonArg {
    /// A module of Rust on top of the crates skep-kernel and skep-object.
    Rust,
}

/// Compile a program in C to an object that any loader takes.
///
/// The programs are verified as the kernel's verifier does it: what neither the running kernel nor the youngest one known
/// would load is an error, shown at its source line; with --target-kernel, what one of the kernels from that release on would
/// not load.
///
/// The usual headers are built in: vmlinux.h with all types of the kernel, bpf/bpf_helpers.h, bpf/bpf_tracing.h,
/// bpf/bpf_core_read.h, bpf/bpf_endian.h, linux/*.h.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  skep build trace.bpf.c
  skep build xdp.bpf.c -o xdp.o -DPORT=80
  skep build trace.bpf.c -S
  skep build trace.bpf.c --skeleton rust -o src/trace.rs")]
pub struct BuildArgs {
    /// The program
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The object; without it the name of the program with .o
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Print the program after preprocessing
    #[arg(short = 'E', group = "what")]
    pub preprocess: bool,
    /// Print the instructions
    #[arg(short = 'S', group = "what")]
    pub assembly: bool,
    /// Print the intermediate representation behind the optimiser
    #[arg(long, group = "what")]
    pub emit_ir: bool,
    /// Print the intermediate representation before the optimiser
    #[arg(long, group = "what")]
    pub emit_lowered: bool,
    /// Write a module of this language instead of an object: it has the object in it, and loads it with types for its maps
    /// and variables
    #[arg(long, value_name = "LANGUAGE", value_enum, group = "what")]
    pub skeleton: Option<SkeletonArg>,
    /// Print a rule for make: the files that the object depends on
    #[arg(short = 'M', group = "what")]
    pub dependencies: bool,
    /// Level of optimisation, as other compilers take it. There is one: what the kernel's verifier needs is always done
    #[arg(short = 'O', value_name = "LEVEL", value_parser = ["1", "2", "3", "s", "z"])]
    pub level: Option<String>,
    /// Write types and lines, as other compilers take it. They are always written
    #[arg(short = 'g')]
    pub debug: bool,
    /// Write the object also if no kernel would load it
    #[arg(long)]
    pub no_verify: bool,
    /// Say how long each stage takes, and which kernels load the object
    #[arg(short, long)]
    pub verbose: bool,
}
