//! The order of programs at one hook; netkit devices.

use std::os::fd::AsFd;

use skep_isa::{AttachType, ProgType};
use skep_kernel::KernelError;
use skep_kernel::attach::{Direction, Link, NetkitSide, Order, attach_netkit, attach_tcx, interface};

use super::support::{Counting, absent, in_namespace, pair_of_interfaces, send};

#[test]
fn tcx_programs_in_the_order_that_was_asked_for() {
    in_namespace(|| {
        let (a, _) = pair_of_interfaces();
        // `TC_ACT_OK` ends the chain, so what is behind does not run.
        let last = Counting::new(ProgType::SchedCls, 0);
        let stop = Counting::new(ProgType::SchedCls, 0);
        let before = Counting::new(ProgType::SchedCls, -1);
        fn at(interface: u32, counting: &Counting, order: Order<'_>) -> Result<Link, KernelError> {
            attach_tcx(&counting.program, interface, Direction::Egress, order)
        }
        let first = match at(a, &last, Order::Any) {
            Err(error @ KernelError::Unsupported { .. }) => return absent(&error.to_string()),
            result => result.unwrap(),
        };
        last.expect(1, || send(1, "10.9.0.2:9"));
        let second = at(a, &stop, Order::First).unwrap();
        last.expect(0, || stop.expect(1, || send(1, "10.9.0.2:9")));
        let third = at(a, &before, Order::BeforeLink(second.as_fd())).unwrap();
        last.expect(0, || stop.expect(1, || before.expect(1, || send(1, "10.9.0.2:9"))));
        third.detach().unwrap();
        let third = at(a, &before, Order::AfterProgram(stop.program.as_fd())).unwrap();
        before.expect(0, || stop.expect(1, || send(1, "10.9.0.2:9")));
        second.detach().unwrap();
        // Now the third stands in front of the first.
        before.expect(1, || last.expect(1, || send(1, "10.9.0.2:9")));
        let error = at(a, &stop, Order::BeforeProgram(stop.program.as_fd())).unwrap_err().to_string();
        assert!(error.contains("is not attached at this hook"), "{error}");
        third.update(&stop.program, Some(before.program.as_fd())).unwrap();
        let error = third.update(&last.program, Some(before.program.as_fd())).unwrap_err().to_string();
        assert!(error.contains("another program than the expected one"), "{error}");
        first.detach().unwrap();
    });
}

#[test]
fn netkit_devices() {
    in_namespace(|| {
        let counting = Counting::new(ProgType::SchedCls, -1);
        let made = std::process::Command::new("ip").args(["link", "add", "nk", "type", "netkit"]).output().unwrap();
        if !made.status.success() {
            let lo = interface("lo").unwrap().index;
            assert!(attach_netkit(&counting.program, lo, NetkitSide::Primary, Order::Any).is_err());
            return absent("this kernel, or this `ip`, has no netkit devices (CONFIG_NETKIT)");
        }
        let index = interface("nk").unwrap().index;
        for (side, attach_type) in
            [(NetkitSide::Primary, AttachType::NetkitPrimary), (NetkitSide::Peer, AttachType::NetkitPeer)]
        {
            let counting = Counting::at(ProgType::SchedCls, attach_type, -1);
            let link = attach_netkit(&counting.program, index, side, Order::First).unwrap();
            assert!(link.id().unwrap() > 0);
        }
    });
}
