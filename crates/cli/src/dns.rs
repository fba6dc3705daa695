//! `skep dns`
use crate::args::DnsArgs;
use crate::failure::Failure;
pub fn run(_args: &DnsArgs) -> Result<(), Failure> {
    Err(Failure::Said)
}
