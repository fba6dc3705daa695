//! The fuzz bodies of decoders and printers, for about a second each; without end they run as fuzz targets.

use skep_packet::fuzz;

#[test]
fn decode() {
    skep_random::random_test(|u| {
        fuzz::decode(u.bytes(u.len())?);
        Ok(())
    })
    .budget_ms(1000)
    .size_max(2048);
}

/// Random bytes hardly ever are IP: here a valid packet is damaged.
#[test]
fn decode_damaged_packets() {
    let seeds: Vec<Vec<u8>> = vec![
        // Ethernet, VLAN, IPv6 with extension headers, UDP to the DNS port.
        [
            &[0, 0, 0][..],
            &[2; 12],
            &[0x81, 0, 0, 5, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 61, 0, 64],
            &[0x20; 32],
            &[44, 0, 5, 2, 0, 0, 1, 0, 43, 0, 0, 1, 0, 0, 0, 7, 17, 0, 4, 0, 0, 0, 0, 0],
            &[0, 53, 0, 53, 0, 37, 0, 0],
            b"\x04\xd2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01",
        ]
        .concat(),
        // Raw IPv4 with options, TCP with options, a TLS record.
        [
            &[1, 4, 0][..],
            &[0x46, 0, 0, 80, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0, 0],
            &[1, 2, 1, 187, 0, 0, 0, 1, 0, 0, 0, 2, 0xa0, 0x18, 1, 0, 0, 0, 0, 0],
            &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7],
            &[22, 3, 1, 0, 11, 1, 0, 0, 7, 3, 3, 0, 0, 0, 0, 0],
        ]
        .concat(),
        // GRE, VXLAN and ICMP error within one another.
        [
            &[1, 8, 0][..],
            &[0x45, 0, 0, 92, 0, 1, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x20, 0, 8, 0, 0, 0, 0, 9],
            &[0x45, 0, 0, 64, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 3, 3, 0, 0, 0, 0, 0, 0],
            &[0x45, 0, 0, 36, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 0x12, 0xb5, 0, 16, 0, 0],
            &[8, 0, 0, 0, 0, 0, 42, 0],
        ]
        .concat(),
    ];
    skep_random::random_test(|u| {
        let mut bytes = u.choose(&seeds)?.clone();
        bytes[1] = u.arbitrary()?;
        bytes[2] = u.arbitrary()?;
        for _ in 0..u.int_in_range(0..=6)? {
            let at = u.int_in_range(3..=bytes.len() - 1)?;
            bytes[at] = u.arbitrary()?;
        }
        bytes.truncate(u.int_in_range(3..=bytes.len())?);
        fuzz::decode(&bytes);
        Ok(())
    })
    .budget_ms(1000);
}

#[test]
fn dns() {
    let seed = b"\x04\xd2\x81\x80\x00\x01\x00\x02\x00\x00\x00\x01\x07example\x03com\x00\x00\x01\x00\x01\
\xc0\x0c\x00\x05\x00\x01\x00\x00\x01\x2c\x00\x06\x03www\xc0\x0c\
\xc0\x29\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x01\x02\x03\x04\
\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";
    fuzz::dns(seed);
    skep_random::random_test(|u| {
        if u.ratio(1, 4)? {
            fuzz::dns(u.bytes(u.len())?);
            return Ok(());
        }
        let mut bytes = seed.to_vec();
        for _ in 0..u.int_in_range(1..=5)? {
            let at = u.int_in_range(0..=bytes.len() - 1)?;
            bytes[at] = u.arbitrary()?;
        }
        bytes.truncate(u.int_in_range(0..=bytes.len())?);
        fuzz::dns(&bytes);
        Ok(())
    })
    .budget_ms(1000)
    .size_max(2048);
}
