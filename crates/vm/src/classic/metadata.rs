//! What the kernel knows about a packet besides its bytes, as a filter can ask for it.

/// The answers to the ancillary loads (`SKF_AD_*` of `linux/filter.h`) and the header positions behind
/// `SKF_NET_OFF` and `SKF_LL_OFF`.
///
/// The default describes a packet of a recording: no device, no VLAN tag outside the bytes, link header at the first
/// byte, position of the network header unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// EtherType of the packet in host byte order (`SKF_AD_PROTOCOL`).
    pub protocol: u16,
    /// `PACKET_HOST` 0, `PACKET_BROADCAST` 1, `PACKET_MULTICAST` 2, `PACKET_OTHERHOST` 3, `PACKET_OUTGOING` 4
    /// (`SKF_AD_PKTTYPE`; the kernel's field has 3 bits).
    pub packet_type: u8,
    /// Index of the interface (`SKF_AD_IFINDEX`). `None`: the packet has no device, and as in the kernel a load of
    /// this or of [`hatype`](Self::hatype) ends the program with the accumulator as its result.
    pub ifindex: Option<u32>,
    /// Hardware type of the interface, `ARPHRD_*` (`SKF_AD_HATYPE`).
    pub hatype: u16,
    /// Mark of the packet (`SKF_AD_MARK`).
    pub mark: u32,
    /// Receive queue plus one, 0 if none was recorded (`SKF_AD_QUEUE`).
    pub queue: u16,
    /// Flow hash (`SKF_AD_RXHASH`).
    pub rxhash: u32,
    /// Processor that runs the filter (`SKF_AD_CPU`).
    pub cpu: u32,
    /// VLAN tag that the hardware took out of the bytes (`SKF_AD_VLAN_TAG`, `SKF_AD_VLAN_TAG_PRESENT`).
    pub vlan_tci: Option<u16>,
    /// EtherType of that tag, 0x8100 or 0x88a8 (`SKF_AD_VLAN_TPID`); not used without a tag.
    pub vlan_tpid: u16,
    /// Offset of the transport payload, 0 if the kernel could not dissect the packet (`SKF_AD_PAY_OFFSET`).
    pub payload_offset: u32,
    /// First answer to `SKF_AD_RANDOM`. Later ones in the same run follow from it (xorshift32), so that a run can be
    /// repeated.
    pub random: u32,
    /// Offset of the network header in the packet: the base of `SKF_NET_OFF`. `None`: such loads fail.
    pub network_offset: Option<u32>,
    /// Offset of the link-layer header in the packet: the base of `SKF_LL_OFF`. `None`: such loads fail.
    pub link_offset: Option<u32>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            protocol: 0,
            packet_type: 0,
            ifindex: None,
            hatype: 0,
            mark: 0,
            queue: 0,
            rxhash: 0,
            cpu: 0,
            vlan_tci: None,
            vlan_tpid: 0x8100,
            payload_offset: 0,
            random: 0x9e37_79b9,
            network_offset: None,
            link_offset: Some(0),
        }
    }
}

/// Takes one number out of the generator: the state is the answer, the next state is its xorshift32 successor.
pub(crate) const fn next_random(state: &mut u32) -> u32 {
    let answer = *state;
    // Zero is a fixed point of xorshift; any other constant continues the sequence.
    let mut next = if answer == 0 { 0x9e37_79b9 } else { answer };
    next ^= next << 13;
    next ^= next >> 17;
    next ^= next << 5;
    *state = next;
    answer
}
