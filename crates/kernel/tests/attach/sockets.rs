//! Socket maps, reuseport groups, the choice of sockets.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _};

use skep_isa::{AttachType, MapType, ProgType};
use skep_kernel::attach::{attach_reuseport, attach_sk_lookup, attach_sockmap, attach_sockmap_slot};
use skep_kernel::{KernelError, Update};

use super::support::{Counting, detach_now, in_namespace, map, send};

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Sends a few bytes and reads them at the other end.
fn exchange(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"0123").unwrap();
    let mut bytes = [0; 4];
    to.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"0123");
}

#[test]
fn verdicts_on_messages() {
    in_namespace(|| {
        for with_link in [true, false] {
            let sockets = map(MapType::Sockmap, 4, 4, 2);
            let counting = Counting::at(ProgType::SkMsg, AttachType::SkMsgVerdict, 1);
            let attached = if with_link {
                attach_sockmap(&counting.program, &sockets, AttachType::SkMsgVerdict).unwrap()
            } else {
                let slot = attach_sockmap_slot(&counting.program, &sockets, AttachType::SkMsgVerdict).unwrap();
                skep_kernel::attach::Attachment::Sockmap(slot)
            };
            let (mut client, mut server) = connected();
            sockets.set(&0u32.to_ne_bytes(), &client.as_raw_fd().to_ne_bytes(), Update::Any).unwrap();
            counting.expect(2, || (0..2).for_each(|_| exchange(&mut client, &mut server)));
            detach_now(attached);
            let (mut client, mut server) = connected();
            sockets.set(&1u32.to_ne_bytes(), &client.as_raw_fd().to_ne_bytes(), Update::Any).unwrap();
            counting.expect(0, || exchange(&mut client, &mut server));
        }
    });
}

#[test]
fn verdicts_on_streams() {
    in_namespace(|| {
        for (attach_type, result) in [(AttachType::SkSkbStreamVerdict, 1), (AttachType::SkSkbVerdict, 1)] {
            let sockets = map(MapType::Sockhash, 4, 4, 2);
            let counting = Counting::at(ProgType::SkSkb, attach_type, result);
            let attached = attach_sockmap(&counting.program, &sockets, attach_type).unwrap();
            let (mut client, mut server) = connected();
            sockets.set(&0u32.to_ne_bytes(), &server.as_raw_fd().to_ne_bytes(), Update::Any).unwrap();
            counting.expect(1, || exchange(&mut client, &mut server));
            drop(attached);
        }
        let sockets = map(MapType::Sockmap, 4, 4, 2);
        // The length of the buffer is that of the message.
        let parser = Counting::at(ProgType::SkSkb, AttachType::SkSkbStreamParser, 4);
        let verdict = Counting::at(ProgType::SkSkb, AttachType::SkSkbStreamVerdict, 1);
        let attached = [
            attach_sockmap(&parser.program, &sockets, AttachType::SkSkbStreamParser).unwrap(),
            attach_sockmap(&verdict.program, &sockets, AttachType::SkSkbStreamVerdict).unwrap(),
        ];
        let (mut client, mut server) = connected();
        sockets.set(&0u32.to_ne_bytes(), &server.as_raw_fd().to_ne_bytes(), Update::Any).unwrap();
        parser.expect(1, || verdict.expect(1, || exchange(&mut client, &mut server)));
        drop(attached);
        let array = map(MapType::Array, 4, 4, 1);
        let error = attach_sockmap(&verdict.program, &array, AttachType::SkSkbStreamVerdict).unwrap_err().to_string();
        assert!(error.contains("map of sockets"), "{error}");
    });
}

#[test]
fn choice_of_sockets() {
    in_namespace(|| {
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        let counting = Counting::at(ProgType::SkLookup, AttachType::SkLookup, 1);
        let link = attach_sk_lookup(&counting.program, &namespace).unwrap();
        counting.expect_soon(2, || send(2, "127.0.0.1:9"));
        drop(link);
        counting.expect_end(|| send(1, "127.0.0.1:9"));
        let error = attach_sk_lookup(&counting.program, File::open("/dev/null").unwrap()).unwrap_err().to_string();
        assert!(error.contains("is not a network namespace"), "{error}");
    });
}

#[test]
fn groups_of_sockets() {
    in_namespace(|| {
        // SAFETY: takes numbers; the socket is owned once.
        let receiver = unsafe { UdpSocket::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)) };
        let on: libc::c_int = 1;
        // SAFETY: pointer and length describe `on`, and then a zeroed address, which live through the calls.
        unsafe {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            let fd = receiver.as_raw_fd();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, (&raw const on).cast(), length);
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as u16;
            let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), length), 0);
        }
        let to = format!("127.0.0.1:{}", receiver.local_addr().unwrap().port());
        let counting = Counting::at(ProgType::SkReuseport, AttachType::SkReuseportSelect, 1);
        let slot = attach_reuseport(&receiver, &counting.program).unwrap();
        counting.expect_soon(2, || send(2, &to));
        slot.detach().unwrap();
        counting.expect_end(|| send(1, &to));
        drop(attach_reuseport(&receiver, &counting.program).unwrap());
        let wrong = Counting::new(ProgType::Xdp, 2);
        assert!(matches!(attach_reuseport(&receiver, &wrong.program), Err(KernelError::Invalid { .. })));
        let error = attach_reuseport(counting.program.as_fd(), &counting.program).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
    });
}
