//! Helpers on packets of the network stack (`net/core/filter.c`, `net/core/skbuff.c`).

use super::errno::{EFAULT, EINVAL, ENOMEM};
use crate::ebpf::context::{HASH_FIELD, MAX_GROWN_BYTES, PacketKind, VLAN_FIELDS};
use crate::ebpf::fault::FaultKind;
use crate::ebpf::machine::Machine;

type Result<T = u64> = std::result::Result<T, FaultKind>;

/// Copies packet bytes, or clears the target when they are not all there.
fn load(machine: &mut Machine, start: Option<u64>, to: u64, size: u32) -> Result {
    let end = start.map(|start| start + u64::from(size));
    match start {
        Some(start) if end <= Some(machine.packet().len() as u64) => {
            machine.copy_from_packet(start as usize, to, size)?;
            Ok(0)
        }
        _ => {
            machine.fill(to, size, 0)?;
            Ok(EFAULT)
        }
    }
}

pub(super) fn skb_load_bytes(machine: &mut Machine, [_, offset, to, size, _]: [u64; 5]) -> Result {
    let offset = offset as u32;
    load(machine, (offset <= i32::MAX.cast_unsigned()).then_some(offset.into()), to, size as u32)
}

/// As [`skb_load_bytes`], from the link header (0) or the network header (1).
pub(super) fn skb_load_bytes_relative(machine: &mut Machine, [_, offset, to, size, header]: [u64; 5]) -> Result {
    let header = match header as u32 {
        0 => machine.meta().link_offset,
        1 => machine.meta().network_offset,
        _ => None,
    };
    let offset = u64::from(offset as u32);
    let start = header.filter(|_| offset <= 0xffff).map(|header| u64::from(header) + offset);
    load(machine, start, to, size as u32)
}

pub(super) fn skb_store_bytes(machine: &mut Machine, [skb, offset, from, size, flags]: [u64; 5]) -> Result {
    /// Correct the sum that a device made; there is none.
    const RECOMPUTE_CSUM: u64 = 1;
    const INVALIDATE_HASH: u64 = 2;
    let window = machine.window(PacketKind::Skb)?;
    if flags & !(RECOMPUTE_CSUM | INVALIDATE_HASH) != 0 {
        return Ok(EINVAL);
    }
    let (offset, size) = (u64::from(offset as u32), size as u32);
    if offset > i32::MAX as u64 || offset + u64::from(size) > window.len().into() {
        return Ok(EFAULT);
    }
    let bytes = machine.bytes(from, size)?;
    machine.write(u64::from(window.data) + offset, &bytes)?;
    if flags & INVALIDATE_HASH != 0 {
        machine.write(skb + HASH_FIELD, &[0; 4])?;
    }
    Ok(0)
}

/// All bytes are always there; asking for more than all fails.
pub(super) fn skb_pull_data(machine: &mut Machine, [_, size, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Skb)?;
    Ok(if size as u32 > window.len() { ENOMEM } else { 0 })
}

/// Cuts or lengthens a packet at its end; it keeps its link header.
pub(super) fn skb_change_tail(machine: &mut Machine, [_, size, flags, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Skb)?;
    let size = size as u32;
    let least = machine.meta().network_offset.unwrap_or(0);
    if flags != 0 || size < least || size > MAX_GROWN_BYTES.max(window.len()) {
        return Ok(EINVAL);
    }
    let moved = machine.move_packet(window.data_meta, window.data, window.data + size)?;
    Ok(moved.map_or(ENOMEM, |()| 0))
}

/// Adds zeros in front.
pub(super) fn skb_change_head(machine: &mut Machine, [_, room, flags, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Skb)?;
    let room = room as u32;
    let fits = window.len().checked_add(room).is_some_and(|size| size <= MAX_GROWN_BYTES);
    if flags != 0 || !fits {
        return Ok(EINVAL);
    }
    let data = window.data - room;
    if data < window.lowest || machine.move_packet(data, data, window.data_end)?.is_none() {
        return Ok(ENOMEM);
    }
    machine.fill(data.into(), room, 0)?;
    Ok(0)
}

/// Bytes of the two addresses of an Ethernet header.
const ADDRESSES: u32 = 12;
/// Bytes of a VLAN tag.
const TAG_BYTES: u32 = 4;
/// Offset of the EtherType in `struct __sk_buff`.
const PROTOCOL_FIELD: u64 = 16;

/// EtherTypes of VLAN tags (IEEE 802.1Q, 802.1ad).
const VLAN_TYPES: [u16; 2] = [0x8100, 0x88a8];

fn number(machine: &Machine, address: u64) -> Result<u32> {
    let mut bytes = [0; 4];
    machine.read(address, &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// Sets `vlan_present`, `vlan_tci` and `vlan_proto`.
fn set_tag(machine: &mut Machine, skb: u64, tag: Option<(u16, u16)>) -> Result<()> {
    let (ether_type, tci) = tag.unwrap_or((0, 0));
    let fields = [u32::from(tag.is_some()), tci.into(), ether_type.to_be().into()];
    fields
        .into_iter()
        .zip(0..)
        .try_for_each(|(field, index)| machine.write(skb + VLAN_FIELDS + 4 * index, &field.to_ne_bytes()))
}

fn set_protocol(machine: &mut Machine, skb: u64, ether_type: u16) -> Result<()> {
    machine.write(skb + PROTOCOL_FIELD, &u32::from(ether_type.to_be()).to_ne_bytes())
}

/// Tags a packet; a tag that it has already moves into its bytes.
pub(super) fn skb_vlan_push(machine: &mut Machine, [skb, ether_type, tci, ..]: [u64; 5]) -> Result {
    let window = machine.window(PacketKind::Skb)?;
    // The argument is in network byte order; other types mean the usual one.
    let ether_type = Some(u16::from_be(ether_type as u16)).filter(|ether_type| VLAN_TYPES.contains(ether_type));
    if number(machine, skb + VLAN_FIELDS)? != 0 {
        let old_tci = number(machine, skb + VLAN_FIELDS + 4)? as u16;
        let old_type = u16::from_be(number(machine, skb + VLAN_FIELDS + 8)? as u16);
        let data = window.data - TAG_BYTES;
        if window.len() < ADDRESSES || data < window.lowest {
            return Ok(ENOMEM);
        }
        let addresses = machine.bytes(window.data.into(), ADDRESSES)?;
        if machine.move_packet(data, data, window.data_end)?.is_none() {
            return Ok(ENOMEM);
        }
        machine.write(data.into(), &addresses)?;
        machine.write(u64::from(data + ADDRESSES), &old_type.to_be_bytes())?;
        machine.write(u64::from(data + ADDRESSES + 2), &old_tci.to_be_bytes())?;
        set_protocol(machine, skb, old_type)?;
    }
    set_tag(machine, skb, Some((ether_type.unwrap_or(VLAN_TYPES[0]), tci as u16)))?;
    Ok(0)
}

/// Takes the tag out of the bytes: its type and contents; `None` if the packet is too short.
fn take_tag(machine: &mut Machine, skb: u64) -> Result<Option<(u16, u16)>> {
    let window = machine.window(PacketKind::Skb)?;
    if window.len() < ADDRESSES + TAG_BYTES + 2 {
        return Ok(None);
    }
    let header = machine.bytes(window.data.into(), ADDRESSES + TAG_BYTES + 2)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let data = window.data + TAG_BYTES;
    machine.write(data.into(), &header[..ADDRESSES as usize])?;
    let moved = machine.move_packet(data, data, window.data_end)?;
    set_protocol(machine, skb, word(16))?;
    Ok(moved.map(|()| (word(12), word(14))))
}

/// Removes the outer tag; the next one leaves the bytes.
pub(super) fn skb_vlan_pop(machine: &mut Machine, [skb, ..]: [u64; 5]) -> Result {
    machine.window(PacketKind::Skb)?;
    let is_tagged = |machine: &Machine| -> Result<bool> {
        let protocol = u16::from_be(number(machine, skb + PROTOCOL_FIELD)? as u16);
        Ok(VLAN_TYPES.contains(&protocol))
    };
    if number(machine, skb + VLAN_FIELDS)? != 0 {
        set_tag(machine, skb, None)?;
    } else if !is_tagged(machine)? {
        return Ok(0);
    } else if take_tag(machine, skb)?.is_none() {
        return Ok(ENOMEM);
    }
    if is_tagged(machine)? {
        let Some(tag) = take_tag(machine, skb)? else { return Ok(ENOMEM) };
        set_tag(machine, skb, Some(tag))?;
    }
    Ok(0)
}
