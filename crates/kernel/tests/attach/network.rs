//! Programs on interfaces, routes and in network namespaces.

use std::net::IpAddr;
use std::os::fd::AsFd;

use skep_isa::{AttachType, ProgType};
use skep_kernel::attach::{
    Attachment, Direction, Expected, LwtHook, LwtRoute, NetfilterFamily, NetfilterHook, NetfilterPlace, TcOptions,
    XdpMode, attach_flow_dissector, attach_lwt, attach_netfilter, attach_tc, attach_tc_filter, attach_xdp,
    attach_xdp_slot, interface, xdp_state,
};

use super::support::{Counting, detach_now, in_namespace, pair_of_interfaces, run, send};
use crate::common::kernel_has;

/// `XDP_PASS`
const PASS: i32 = 2;
/// `TC_ACT_UNSPEC`: the next program decides.
const NEXT: i32 = -1;

#[test]
fn xdp_links_in_all_modes() {
    in_namespace(|| {
        let (_, b) = pair_of_interfaces();
        for mode in [XdpMode::Native, XdpMode::Generic, XdpMode::Best] {
            let counting = Counting::new(ProgType::Xdp, PASS);
            let id = counting.program.info().unwrap().id;
            let attached = attach_xdp(&counting.program, b, mode).unwrap();
            counting.expect_soon(3, || send(3, "10.9.0.2:9"));
            let state = xdp_state(b).unwrap();
            let shown = if mode == XdpMode::Generic { state.generic } else { state.native };
            assert_eq!(shown, Some(id), "{mode:?}");
            // Another program does not push it out.
            let other = Counting::new(ProgType::Xdp, PASS);
            let error = attach_xdp(&other.program, b, mode).unwrap_err().to_string();
            assert!(error.contains("`b` is held by") && error.contains(&format!("program {id} ")), "{error}");
            attached.update(&other.program).unwrap();
            other.expect_soon(1, || send(1, "10.9.0.2:9"));
            detach_now(attached);
            assert!(xdp_state(b).unwrap().is_empty());
            other.expect_end(|| send(1, "10.9.0.2:9"));
        }
    });
}

#[test]
fn xdp_through_rtnetlink() {
    in_namespace(|| {
        let (_, b) = pair_of_interfaces();
        let first = Counting::new(ProgType::Xdp, PASS);
        let second = Counting::new(ProgType::Xdp, PASS);
        let id = |counting: &Counting| counting.program.info().unwrap().id;
        let mut slot = attach_xdp_slot(&first.program, b, XdpMode::Native, Expected::Nothing).unwrap();
        first.expect_soon(2, || send(2, "10.9.0.2:9"));
        let error = attach_xdp_slot(&second.program, b, XdpMode::Native, Expected::Nothing).unwrap_err().to_string();
        assert!(error.contains("`b` is held by native program"), "{error}");
        let wrong = Expected::Program(second.program.as_fd());
        assert!(attach_xdp_slot(&second.program, b, XdpMode::Native, wrong).is_err());
        slot.update(&second.program).unwrap();
        assert_eq!(xdp_state(b).unwrap().native, Some(id(&second)));
        slot.leave();
        assert_eq!(xdp_state(b).unwrap().native, Some(id(&second)), "it was told to stay");
        // Taken over: replaced, then removed by dropping.
        let expected = Expected::Program(second.program.as_fd());
        let slot = attach_xdp_slot(&first.program, b, XdpMode::Native, expected).unwrap();
        assert_eq!(xdp_state(b).unwrap().native, Some(id(&first)));
        // Dropped in a thread of another namespace, it still removes the program from this one.
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // SAFETY: takes a number and changes nothing but this thread's namespace.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
                drop(slot);
            });
            thread.join().unwrap();
        });
        assert!(xdp_state(b).unwrap().is_empty());
        let error = interface("bb").unwrap_err().to_string();
        assert!(error.contains("there is no interface `bb`") && error.contains("`b`"), "{error}");
        let error = attach_xdp(&first.program, 9999, XdpMode::Best).unwrap_err().to_string();
        assert!(error.contains("no interface with number 9999") && error.contains("lo"), "{error}");
        let error = attach_xdp(&first.program, b, XdpMode::Offload).unwrap_err().to_string();
        assert!(error.contains("`b`"), "{error}");
    });
}

#[test]
fn traffic_control_both_ways() {
    in_namespace(|| {
        let (a, b) = pair_of_interfaces();
        let ingress = Counting::new(ProgType::SchedCls, NEXT);
        let egress = Counting::new(ProgType::SchedCls, NEXT);
        let links = [
            attach_tc(&ingress.program, b, Direction::Ingress).unwrap(),
            attach_tc(&egress.program, a, Direction::Egress).unwrap(),
        ];
        let tcx = skep_kernel::running_release().unwrap() >= AttachType::TcxIngress.since();
        assert_eq!(matches!(links[0], Attachment::Link(_)), tcx);
        ingress.expect_soon(2, || egress.expect(2, || send(2, "10.9.0.2:9")));
        drop(links);
        ingress.expect_end(|| egress.expect_end(|| send(1, "10.9.0.2:9")));
        // The older way; two filters in the order of their priorities.
        let options = |priority| TcOptions { priority, name: "skep-test".to_owned(), ..TcOptions::default() };
        let first = attach_tc_filter(&ingress.program, b, Direction::Ingress, &TcOptions::default()).unwrap();
        assert!(first.priority() > 0 && first.handle() > 0, "{first:?}");
        let second = attach_tc_filter(&egress.program, a, Direction::Egress, &options(7)).unwrap();
        assert_eq!(second.priority(), 7);
        let same = TcOptions { handle: second.handle(), ..options(7) };
        let error = attach_tc_filter(&egress.program, a, Direction::Egress, &same).unwrap_err().to_string();
        assert!(error.contains("a filter with this priority and handle"), "{error}");
        ingress.expect_soon(3, || egress.expect(3, || send(3, "10.9.0.2:9")));
        first.detach().unwrap();
        drop(second);
        ingress.expect_end(|| egress.expect_end(|| send(1, "10.9.0.2:9")));
        let error = attach_tc_filter(&egress.program, 9999, Direction::Egress, &options(1)).unwrap_err().to_string();
        assert!(error.contains("no interface with number 9999"), "{error}");
        let wrong = Counting::new(ProgType::Xdp, PASS);
        let error = attach_tc_filter(&wrong.program, a, Direction::Egress, &options(1)).unwrap_err().to_string();
        assert!(error.contains("must be of type sched_cls"), "{error}");
    });
}

#[test]
fn netfilter_hooks() {
    in_namespace(|| {
        if !kernel_has("links for netfilter", AttachType::Netfilter.since()) {
            return;
        }
        let accept = 1;
        let place = |priority| NetfilterPlace {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::LocalOut,
            priority,
            defragment: false,
        };
        let counting = Counting::at(ProgType::Netfilter, AttachType::Netfilter, accept);
        let link = match attach_netfilter(&counting.program, place(10)) {
            Err(error @ skep_kernel::KernelError::Unsupported { .. }) => {
                return super::support::absent(&error.to_string());
            }
            result => result.unwrap(),
        };
        counting.expect_soon(2, || send(2, "127.0.0.1:9"));
        for priority in [i32::MIN, i32::MAX] {
            assert!(attach_netfilter(&counting.program, place(priority)).unwrap_err().to_string().contains("reserved"));
        }
        let early = NetfilterPlace { defragment: true, ..place(-400) };
        assert!(attach_netfilter(&counting.program, early).unwrap_err().to_string().contains("above -400"));
        let error = attach_netfilter(&counting.program, place(10));
        assert!(error.is_err_and(|error| error.to_string().contains("has the priority 10")));
        drop(link);
        counting.expect_end(|| send(1, "127.0.0.1:9"));
    });
}

#[test]
fn routes_with_programs() {
    in_namespace(|| {
        let (a, _) = pair_of_interfaces();
        run("ip neigh add 10.77.0.5 lladdr 02:00:00:00:00:02 dev a");
        let counting = Counting::new(ProgType::LwtXmit, 0);
        let destination: IpAddr = "10.77.0.0".parse().unwrap();
        let programs = [(LwtHook::Xmit, counting.program.as_fd())];
        let route = LwtRoute {
            destination,
            prefix: 24,
            interface: a,
            gateway: None,
            table: 254,
            programs: &programs,
            headroom: 14,
        };
        let attached = attach_lwt(&route).unwrap();
        counting.expect_soon(2, || send(2, "10.77.0.5:9"));
        let error = attach_lwt(&route).unwrap_err().to_string();
        assert!(error.contains("a route to 10.77.0.0/24 exists already"), "{error}");
        for wrong in [
            LwtRoute { prefix: 33, ..route },
            LwtRoute { headroom: 257, ..route },
            LwtRoute { programs: &[], ..route },
            LwtRoute { interface: 9999, ..route },
            LwtRoute { gateway: Some("::1".parse().unwrap()), ..route },
            LwtRoute {
                programs: &[(LwtHook::In, counting.program.as_fd())],
                destination: "10.78.0.0".parse().unwrap(),
                ..route
            },
        ] {
            assert!(attach_lwt(&wrong).is_err(), "{wrong:?}");
        }
        drop(attached);
        attach_lwt(&route).unwrap().detach().unwrap();
    });
}

#[test]
fn flow_dissectors() {
    in_namespace(|| {
        let (a, _) = pair_of_interfaces();
        let counting = Counting::at(ProgType::FlowDissector, AttachType::FlowDissector, 0);
        let attached = attach_flow_dissector(&counting.program).unwrap();
        let frame = [[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0].as_slice(), &[0x45; 40]].concat();
        counting.expect_soon(1, || send_frame(a, &frame));
        let error = attach_flow_dissector(&counting.program).unwrap_err().to_string();
        assert!(error.contains("has such a program already"), "{error}");
        detach_now(attached);
        counting.expect_end(|| send_frame(a, &frame));
        drop(attach_flow_dissector(&counting.program).unwrap());
    });
}

/// Sends a frame without telling the kernel what is in it, which makes it look.
fn send_frame(interface: u32, frame: &[u8]) {
    // SAFETY: the address and its length describe a structure on the stack, the frame a slice; both live through the
    // calls, and the socket is closed once.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = interface.cast_signed();
        to.sll_protocol = 0x0800u16.to_be();
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let sent = libc::sendto(socket, frame.as_ptr().cast(), frame.len(), 0, (&raw const to).cast(), length);
        assert_eq!(sent, frame.len() as isize);
        libc::close(socket);
    }
}
