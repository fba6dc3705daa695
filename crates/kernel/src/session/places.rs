//! Places of attachment as texts: what a command line says beyond sections.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use skep_isa::sections;
use skep_object::AttachPoint;

use crate::attach::{
    AttachOptions, NetfilterFamily, NetfilterHook, NetfilterPlace, PerfEvent, PerfRate, Symbols, XdpMode, interface,
    open_cgroup, open_infrared,
};
use crate::errors::KernelError;

const ACTION: &str = "understand where to attach";

/// Where programs attach, read from texts.
#[derive(Debug, Default)]
pub struct Places {
    interface: Option<u32>,
    xdp: XdpMode,
    cgroup: Option<OwnedFd>,
    infrared: Option<File>,
    process: Option<u32>,
    cookie: u64,
    event: Option<(PerfEvent, PerfRate)>,
    netfilter: Option<NetfilterPlace>,
    sections: Vec<(String, AttachPoint)>,
}

impl Places {
    /// Understands one more place:
    ///
    /// * `dev=eth0` for programs of network interfaces, `xdp=generic`, `xdp=native` or `xdp=offload` for their mode;
    /// * `cgroup=/sys/fs/cgroup/...` for those of control groups;
    /// * `lirc=/dev/lirc0` for decoders of infrared signals;
    /// * `pid=4711` for user probes and performance events; `cookie=7` for what `bpf_get_attach_cookie` returns;
    /// * `hz=99` for programs of type perf_event: the clock of each processor, so many times a second;
    /// * `netfilter=ip:local_out:0` (`ip` or `ip6`, hook, priority);
    /// * `PROGRAM@SECTION` for a place that counts instead of the program's own, for example
    ///   `f@kprobe/do_nanosleep`.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] with the forms that there are, or what does not exist.
    pub fn add(&mut self, text: &str) -> Result<(), KernelError> {
        let invalid = |problem: String| KernelError::Invalid { action: ACTION, problem };
        if let Some((program, section)) = text.split_once('@') {
            let name = sections::parse(section)
                .ok_or_else(|| invalid(format!("`{section}` is no name of a section; `skep help prog` lists them")))?;
            let point = AttachPoint::parse(&name).map_err(|error| invalid(error.to_string()))?;
            self.sections.push((program.to_owned(), point));
            return Ok(());
        }
        let number = |text: &str, what: &str| {
            text.parse::<u32>().map_err(|_| invalid(format!("`{text}` is no {what}; expected a number from 0")))
        };
        match text.split_once('=') {
            Some(("dev", name)) => self.interface = Some(interface(name)?.index),
            Some(("xdp", mode)) => {
                self.xdp = match mode {
                    "native" => XdpMode::Native,
                    "generic" => XdpMode::Generic,
                    "offload" => XdpMode::Offload,
                    _ => {
                        return Err(invalid(format!(
                            "`{mode}` is no mode of XDP; expected native, generic or offload"
                        )));
                    }
                };
            }
            Some(("cgroup", path)) => self.cgroup = Some(open_cgroup(path)?),
            Some(("lirc", path)) => self.infrared = Some(open_infrared(path)?),
            Some(("pid", pid)) => self.process = Some(number(pid, "process")?),
            Some(("cookie", cookie)) => self.cookie = number(cookie, "cookie")?.into(),
            Some(("hz", hertz)) => {
                let rate = PerfRate::Frequency(number(hertz, "frequency")?.into());
                self.event = Some((PerfEvent::CPU_CLOCK, rate));
            }
            Some(("netfilter", place)) => {
                self.netfilter = Some(netfilter(place).ok_or_else(|| {
                    invalid(format!(
                        "`{place}` is no netfilter hook; expected FAMILY:HOOK:PRIORITY such as `ip:local_out:0`, with the \
                         hooks prerouting, local_in, forward, local_out, postrouting"
                    ))
                })?);
            }
            _ => {
                return Err(invalid(format!(
                    "`{text}` is none of dev=NAME, xdp=MODE, cgroup=PATH, lirc=PATH, pid=NUMBER, cookie=NUMBER, hz=NUMBER, \
                     netfilter=FAMILY:HOOK:PRIORITY, PROGRAM@SECTION"
                )));
            }
        }
        Ok(())
    }

    /// The places that count instead of the sections, for loading.
    pub fn sections(&self) -> Vec<(&str, AttachPoint)> {
        self.sections.iter().map(|(name, point)| (name.as_str(), point.clone())).collect()
    }

    /// The options of attaching; `places` are what [`sections`](Self::sections) gives.
    pub fn options<'a>(
        &'a self,
        symbols: Option<&'a dyn Symbols>,
        places: &'a [(&'a str, AttachPoint)],
    ) -> AttachOptions<'a> {
        AttachOptions {
            interface: self.interface,
            xdp: self.xdp,
            cgroup: self.cgroup.as_ref().map(|group| group.as_fd()),
            infrared: self.infrared.as_ref().map(|device| device.as_fd()),
            process: self.process,
            cookie: self.cookie,
            event: self.event,
            netfilter: self.netfilter,
            symbols,
            places,
            ..AttachOptions::default()
        }
    }
}

fn netfilter(text: &str) -> Option<NetfilterPlace> {
    let mut parts = text.split(':');
    let family = match parts.next()? {
        "ip" => NetfilterFamily::Ipv4,
        "ip6" => NetfilterFamily::Ipv6,
        _ => return None,
    };
    let hook = match parts.next()? {
        "prerouting" => NetfilterHook::PreRouting,
        "local_in" => NetfilterHook::LocalIn,
        "forward" => NetfilterHook::Forward,
        "local_out" => NetfilterHook::LocalOut,
        "postrouting" => NetfilterHook::PostRouting,
        _ => return None,
    };
    let priority = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(NetfilterPlace { family, hook, priority, defragment: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_understood() {
        let mut places = Places::default();
        for text in ["dev=lo", "xdp=generic", "pid=1", "cookie=9", "hz=99", "netfilter=ip6:forward:-5", "f@kprobe/x+4"]
        {
            places.add(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        let sections = places.sections();
        let options = places.options(None, &sections);
        assert_eq!((options.interface, options.process, options.cookie), (Some(1), Some(1), 9));
        assert_eq!(options.netfilter.unwrap().priority, -5);
        assert!(matches!(&options.places[0], ("f", AttachPoint::Function { offset: 4, .. })));
        for text in [
            "",
            "dev=no_such_device",
            "pid=x",
            "hz=-1",
            "netfilter=ip:nowhere:1",
            "f@nothing/x",
            "cgroup=/proc",
            "lirc=/dev/no_such_device",
            "xdp=fast",
            "what=ever",
        ] {
            let error = places.add(text).unwrap_err().to_string();
            assert!(!error.contains("os error"), "{text}: {error}");
        }
    }
}
