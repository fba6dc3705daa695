//! Link types: how the bytes of a captured packet begin. One table gives number, name and description.
//!
//! What the bytes mean is known to the filter compiler and the packet decoder; this file holds only names and numbers.
//! Facts: `pcap/dlt.h` and the names and descriptions that libpcap 1.10.3 prints (`tcpdump -L`, `tcpdump -r`).

use std::fmt;

/// A link type by its number in capture files (`LINKTYPE_...`), which is the same on every system.
///
/// The number that a program sees through libpcap on Linux (`DLT_...`) differs for five old types;
/// [`LinkType::dlt`] and [`LinkType::from_dlt`] translate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

/// What is known about one link type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// The number in capture files.
    pub link: LinkType,
    /// The number inside Linux programs (`DLT_...`).
    pub dlt: u16,
    /// The name that `-y` takes and `-L` prints, without `DLT_`.
    pub name: &'static str,
    /// The description that `-L` prints in parentheses.
    pub description: &'static str,
    /// True if libpcap 1.10.3 knows the name; false for types that it only lists by number.
    pub in_libpcap_1_10: bool,
}

/// Builds the constants and the table from the same rows.
macro_rules! link_types {
    (tcpdump { $($name:ident = $link:literal $(dlt $dlt:literal)? $text:literal;)* }
     numbered { $($xname:ident = $xlink:literal $xtext:literal;)* }) => {
        impl LinkType {
            $(#[doc = concat!($text, ".")] pub const $name: Self = Self($link);)*
            $(#[doc = concat!($xtext, ".")] pub const $xname: Self = Self($xlink);)*
        }

        /// Every link type with a name: first those that libpcap 1.10.3 names, then the others, each part by number.
        pub const LINK_TYPES: &[LinkInfo] = &[
            $(LinkInfo {
                link: LinkType($link),
                dlt: dlt_of!($link $(, $dlt)?),
                name: stringify!($name),
                description: $text,
                in_libpcap_1_10: true,
            },)*
            $(LinkInfo {
                link: LinkType($xlink),
                dlt: $xlink,
                name: stringify!($xname),
                description: $xtext,
                in_libpcap_1_10: false,
            },)*
        ];
    };
}

/// The DLT number is the file number unless the row names another.
macro_rules! dlt_of {
    ($link:literal) => {
        $link
    };
    ($link:literal, $dlt:literal) => {
        $dlt
    };
}

// TABLE: number in files, number on Linux where it differs, description.
link_types! {
    tcpdump {
        NULL = 0 "BSD loopback";
        EN10MB = 1 "Ethernet";
        IEEE802 = 6 "Token ring";
        ARCNET = 7 "BSD ARCNET";
        SLIP = 8 "SLIP";
        PPP = 9 "PPP";
        FDDI = 10 "FDDI";
        PPP_SERIAL = 50 "PPP over serial";
        PPP_ETHER = 51 "PPPoE";
        SYMANTEC_FIREWALL = 99 "Symantec Firewall";
        ATM_RFC1483 = 100 dlt 11 "RFC 1483 LLC-encapsulated ATM";
        RAW = 101 dlt 12 "Raw IP";
        SLIP_BSDOS = 102 dlt 15 "BSD/OS SLIP";
        PPP_BSDOS = 103 dlt 16 "BSD/OS PPP";
        C_HDLC = 104 "Cisco HDLC";
        IEEE802_11 = 105 "802.11";
        ATM_CLIP = 106 dlt 19 "Linux Classical IP over ATM";
        FRELAY = 107 "Frame Relay";
        LOOP = 108 "OpenBSD loopback";
        ENC = 109 "OpenBSD encapsulated IP";
        LINUX_SLL = 113 "Linux cooked v1";
        LTALK = 114 "Localtalk";
        PFLOG = 117 "OpenBSD pflog file";
        PRISM_HEADER = 119 "802.11 plus Prism header";
        IP_OVER_FC = 122 "RFC 2625 IP-over-Fibre Channel";
        SUNATM = 123 "Sun raw ATM";
        IEEE802_11_RADIO = 127 "802.11 plus radiotap header";
        ARCNET_LINUX = 129 "Linux ARCNET";
        JUNIPER_MLPPP = 130 "Juniper Multi-Link PPP";
        JUNIPER_MLFR = 131 "Juniper Multi-Link Frame Relay";
        JUNIPER_ES = 132 "Juniper Encryption Services PIC";
        JUNIPER_GGSN = 133 "Juniper GGSN PIC";
        JUNIPER_MFR = 134 "Juniper FRF.16 Frame Relay";
        JUNIPER_ATM2 = 135 "Juniper ATM2 PIC";
        JUNIPER_SERVICES = 136 "Juniper Advanced Services PIC";
        JUNIPER_ATM1 = 137 "Juniper ATM1 PIC";
        APPLE_IP_OVER_IEEE1394 = 138 "Apple IP-over-IEEE 1394";
        MTP2_WITH_PHDR = 139 "SS7 MTP2 with Pseudo-header";
        MTP2 = 140 "SS7 MTP2";
        MTP3 = 141 "SS7 MTP3";
        SCCP = 142 "SS7 SCCP";
        DOCSIS = 143 "DOCSIS";
        LINUX_IRDA = 144 "Linux IrDA";
        IEEE802_11_RADIO_AVS = 163 "802.11 plus AVS radio information header";
        JUNIPER_MONITOR = 164 "Juniper Passive Monitor PIC";
        BACNET_MS_TP = 165 "BACnet MS/TP";
        PPP_PPPD = 166 "PPP for pppd, with direction flag";
        JUNIPER_PPPOE = 167 "Juniper PPPoE";
        JUNIPER_PPPOE_ATM = 168 "Juniper PPPoE/ATM";
        GPRS_LLC = 169 "GPRS LLC";
        GPF_T = 170 "GPF-T";
        GPF_F = 171 "GPF-F";
        JUNIPER_PIC_PEER = 174 "Juniper PIC Peer";
        ERF_ETH = 175 "Ethernet with Endace ERF header";
        ERF_POS = 176 "Packet-over-SONET with Endace ERF header";
        LINUX_LAPD = 177 "Linux vISDN LAPD";
        JUNIPER_ETHER = 178 "Juniper Ethernet";
        JUNIPER_PPP = 179 "Juniper PPP";
        JUNIPER_FRELAY = 180 "Juniper Frame Relay";
        JUNIPER_CHDLC = 181 "Juniper C-HDLC";
        MFR = 182 "FRF.16 Frame Relay";
        JUNIPER_VP = 183 "Juniper Voice PIC";
        A429 = 184 "Arinc 429";
        A653_ICM = 185 "Arinc 653 Interpartition Communication";
        USB_FREEBSD = 186 "USB with FreeBSD header";
        BLUETOOTH_HCI_H4 = 187 "Bluetooth HCI UART transport layer";
        IEEE802_16_MAC_CPS = 188 "IEEE 802.16 MAC Common Part Sublayer";
        USB_LINUX = 189 "USB with Linux header";
        CAN20B = 190 "Controller Area Network (CAN) v. 2.0B";
        IEEE802_15_4_LINUX = 191 "IEEE 802.15.4 with Linux padding";
        PPI = 192 "Per-Packet Information";
        IEEE802_16_MAC_CPS_RADIO = 193 "IEEE 802.16 MAC Common Part Sublayer plus radiotap header";
        JUNIPER_ISM = 194 "Juniper Integrated Service Module";
        IEEE802_15_4 = 195 "IEEE 802.15.4 with FCS";
        SITA = 196 "SITA pseudo-header";
        ERF = 197 "Endace ERF header";
        RAIF1 = 198 "Ethernet with u10 Networks pseudo-header";
        IPMB_KONTRON = 199 "IPMB with Kontron pseudo-header";
        JUNIPER_ST = 200 "Juniper Secure Tunnel";
        BLUETOOTH_HCI_H4_WITH_PHDR = 201 "Bluetooth HCI UART transport layer plus pseudo-header";
        AX25_KISS = 202 "AX.25 with KISS header";
        IPMB_LINUX = 209 "IPMB with Linux/Pigeon Point pseudo-header";
        IEEE802_15_4_NONASK_PHY = 215 "IEEE 802.15.4 with non-ASK PHY data";
        LINUX_EVDEV = 216 "Linux evdev events";
        MPLS = 219 "MPLS with label as link-layer header";
        USB_LINUX_MMAPPED = 220 "USB with padded Linux header";
        DECT = 221 "DECT";
        AOS = 222 "AOS Space Data Link protocol";
        WIHART = 223 "Wireless HART";
        FC_2 = 224 "Fibre Channel FC-2";
        FC_2_WITH_FRAME_DELIMS = 225 "Fibre Channel FC-2 with frame delimiters";
        IPNET = 226 "Solaris ipnet";
        CAN_SOCKETCAN = 227 "CAN-bus with SocketCAN headers";
        IPV4 = 228 "Raw IPv4";
        IPV6 = 229 "Raw IPv6";
        IEEE802_15_4_NOFCS = 230 "IEEE 802.15.4 without FCS";
        DBUS = 231 "D-Bus";
        JUNIPER_VS = 232 "Juniper Virtual Server";
        JUNIPER_SRX_E2E = 233 "Juniper SRX E2E";
        JUNIPER_FIBRECHANNEL = 234 "Juniper Fibre Channel";
        DVB_CI = 235 "DVB-CI";
        MUX27010 = 236 "MUX27010";
        STANAG_5066_D_PDU = 237 "STANAG 5066 D_PDUs";
        JUNIPER_ATM_CEMIC = 238 "Juniper ATM CEMIC";
        NFLOG = 239 "Linux netfilter log messages";
        NETANALYZER = 240 "Ethernet with Hilscher netANALYZER pseudo-header";
        NETANALYZER_TRANSPARENT = 241 "Ethernet with Hilscher netANALYZER pseudo-header and with preamble and SFD";
        IPOIB = 242 "RFC 4391 IP-over-Infiniband";
        MPEG_2_TS = 243 "MPEG-2 transport stream";
        NG40 = 244 "ng40 protocol tester Iub/Iur";
        NFC_LLCP = 245 "NFC LLCP PDUs with pseudo-header";
        PFSYNC = 246 "Packet filter state syncing";
        INFINIBAND = 247 "InfiniBand";
        SCTP = 248 "SCTP";
        USBPCAP = 249 "USB with USBPcap header";
        RTAC_SERIAL = 250 "Schweitzer Engineering Laboratories RTAC packets";
        BLUETOOTH_LE_LL = 251 "Bluetooth Low Energy air interface";
        NETLINK = 253 "Linux netlink";
        BLUETOOTH_LINUX_MONITOR = 254 "Bluetooth Linux Monitor";
        BLUETOOTH_BREDR_BB = 255 "Bluetooth Basic Rate/Enhanced Data Rate baseband packets";
        BLUETOOTH_LE_LL_WITH_PHDR = 256 "Bluetooth Low Energy air interface with pseudo-header";
        PROFIBUS_DL = 257 "PROFIBUS data link layer";
        PKTAP = 258 "Apple DLT_PKTAP";
        EPON = 259 "Ethernet with 802.3 Clause 65 EPON preamble";
        IPMI_HPM_2 = 260 "IPMI trace packets";
        ZWAVE_R1_R2 = 261 "Z-Wave RF profile R1 and R2 packets";
        ZWAVE_R3 = 262 "Z-Wave RF profile R3 packets";
        WATTSTOPPER_DLM = 263 "WattStopper Digital Lighting Management (DLM) and Legrand Nitoo Open protocol";
        ISO_14443 = 264 "ISO 14443 messages";
        RDS = 265 "IEC 62106 Radio Data System groups";
        USB_DARWIN = 266 "USB with Darwin header";
        OPENFLOW = 267 "OpenBSD DLT_OPENFLOW";
        SDLC = 268 "IBM SDLC frames";
        TI_LLN_SNIFFER = 269 "TI LLN sniffer frames";
        VSOCK = 271 "Linux vsock";
        NORDIC_BLE = 272 "Nordic Semiconductor Bluetooth LE sniffer frames";
        DOCSIS31_XRA31 = 273 "Excentis XRA-31 DOCSIS 3.1 RF sniffer frames";
        ETHERNET_MPACKET = 274 "802.3br mPackets";
        DISPLAYPORT_AUX = 275 "DisplayPort AUX channel monitoring data";
        LINUX_SLL2 = 276 "Linux cooked v2";
        OPENVIZSLA = 278 "OpenVizsla USB";
        EBHSCR = 279 "Elektrobit High Speed Capture and Replay (EBHSCR)";
        VPP_DISPATCH = 280 "VPP graph dispatch tracer";
        DSA_TAG_BRCM = 281 "Broadcom tag";
        DSA_TAG_BRCM_PREPEND = 282 "Broadcom tag (prepended)";
        IEEE802_15_4_TAP = 283 "IEEE 802.15.4 with pseudo-header";
        DSA_TAG_DSA = 284 "Marvell DSA";
        DSA_TAG_EDSA = 285 "Marvell EDSA";
        ELEE = 286 "ELEE lawful intercept packets";
        Z_WAVE_SERIAL = 287 "Z-Wave serial frames between host and chip";
        USB_2_0 = 288 "USB 2.0/1.1/1.0 as transmitted over the cable";
        ATSC_ALP = 289 "ATSC Link-Layer Protocol packets";
    }
    numbered {
        EN3MB = 2 "Experimental Ethernet";
        AX25 = 3 "AX.25 layer 2";
        PRONET = 4 "Proteon ProNET token ring";
        CHAOS = 5 "MIT CHAOSNET";
        REDBACK_SMARTEDGE = 32 "Redback SmartEdge 400/800";
        ECONET = 115 "Acorn Econet";
        IPFILTER = 116 "OpenBSD ipfilter log";
        CISCO_IOS = 118 "Cisco IOS internal";
        AIRONET_HEADER = 120 "802.11 plus Aironet header";
        HHDLC = 121 "Siemens HiPath HDLC";
        RIO = 124 "RapidIO";
        PCI_EXP = 125 "PCI Express";
        AURORA = 126 "Xilinx Aurora link layer";
        TZSP = 128 "Tazmen Sniffer Protocol";
        IBM_SP = 145 "IBM SP switch";
        IBM_SN = 146 "IBM Next Federation switch";
        USER0 = 147 "Reserved for private use 0";
        USER1 = 148 "Reserved for private use 1";
        USER2 = 149 "Reserved for private use 2";
        USER3 = 150 "Reserved for private use 3";
        USER4 = 151 "Reserved for private use 4";
        USER5 = 152 "Reserved for private use 5";
        USER6 = 153 "Reserved for private use 6";
        USER7 = 154 "Reserved for private use 7";
        USER8 = 155 "Reserved for private use 8";
        USER9 = 156 "Reserved for private use 9";
        USER10 = 157 "Reserved for private use 10";
        USER11 = 158 "Reserved for private use 11";
        USER12 = 159 "Reserved for private use 12";
        USER13 = 160 "Reserved for private use 13";
        USER14 = 161 "Reserved for private use 14";
        USER15 = 162 "Reserved for private use 15";
        GCOM_T1E1 = 172 "GCOM T1/E1 line monitoring";
        GCOM_SERIAL = 173 "GCOM serial line monitoring";
        LAPD = 203 "ISDN LAPD";
        PPP_WITH_DIR = 204 "PPP with direction octet";
        C_HDLC_WITH_DIR = 205 "Cisco HDLC with direction octet";
        FRELAY_WITH_DIR = 206 "Frame Relay with direction octet";
        LAPB_WITH_DIR = 207 "LAPB with direction octet";
        FLEXRAY = 210 "FlexRay automotive bus";
        MOST = 211 "Media Oriented Systems Transport bus";
        LIN = 212 "Local Interconnect Network bus";
        X2E_SERIAL = 213 "X2E serial line capture";
        X2E_XORAYA = 214 "X2E Xoraya data logger";
        GSMTAP_UM = 217 "GSM Um interface";
        GSMTAP_ABIS = 218 "GSM Abis interface";
        WIRESHARK_UPPER_PDU = 252 "Wireshark upper-layer protocol data";
        LORATAP = 270 "LoRaWAN with LoRaTap header";
        SERCOS_MONITOR = 277 "Sercos Monitor";
    }
}

impl LinkType {
    /// The row of this type, or `None` if the number has no name.
    #[must_use]
    pub fn info(self) -> Option<&'static LinkInfo> {
        LINK_TYPES.iter().find(|row| row.link == self)
    }

    /// The name without `DLT_`, as `-y` takes it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|row| row.name)
    }

    /// The description, as `-L` prints it.
    #[must_use]
    pub fn description(self) -> Option<&'static str> {
        self.info().map(|row| row.description)
    }

    /// Finds a type by name: any case, with or without `DLT_` or `LINKTYPE_` before it.
    ///
    /// ```
    /// use skep_proto::LinkType;
    /// assert_eq!(LinkType::from_name("dlt_raw"), Some(LinkType::RAW));
    /// assert_eq!(LinkType::from_name("nosuch"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let bare = strip_prefix_any_case(name, "DLT_").or_else(|| strip_prefix_any_case(name, "LINKTYPE_"));
        let bare = bare.unwrap_or(name);
        LINK_TYPES.iter().find(|row| row.name.eq_ignore_ascii_case(bare)).map(|row| row.link)
    }

    /// The link type for a number found in a capture file.
    ///
    /// Some programs store the Linux DLT number of the five types for which it differs (12 for raw IP, say);
    /// those numbers mean nothing else, so they are accepted here, as libpcap does.
    #[must_use]
    pub fn from_file_number(number: u16) -> Self {
        Self::from_dlt(number)
    }

    /// The link type for a Linux DLT number.
    #[must_use]
    pub fn from_dlt(dlt: u16) -> Self {
        LINK_TYPES.iter().find(|row| row.dlt == dlt).map_or(Self(dlt), |row| row.link)
    }

    /// The Linux DLT number of this type.
    #[must_use]
    pub fn dlt(self) -> u16 {
        self.info().map_or(self.0, |row| row.dlt)
    }
}

/// Prints the name, or the number for a type without one.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

fn strip_prefix_any_case<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn numbers_and_names_are_unique() {
        let links: HashSet<_> = LINK_TYPES.iter().map(|row| row.link).collect();
        let names: HashSet<_> = LINK_TYPES.iter().map(|row| row.name).collect();
        let dlts: HashSet<_> = LINK_TYPES.iter().map(|row| row.dlt).collect();
        assert_eq!(links.len(), LINK_TYPES.len());
        assert_eq!(names.len(), LINK_TYPES.len());
        assert_eq!(dlts.len(), LINK_TYPES.len());
        assert!(LINK_TYPES.len() >= 180);
    }

    #[test]
    fn every_row_is_found_by_all_its_keys() {
        for row in LINK_TYPES {
            assert_eq!(LinkType::from_name(row.name), Some(row.link));
            assert_eq!(LinkType::from_name(&format!("dlt_{}", row.name.to_lowercase())), Some(row.link));
            assert_eq!(LinkType::from_dlt(row.dlt), row.link);
            assert_eq!(LinkType::from_file_number(row.link.0), row.link);
            assert_eq!(row.link.dlt(), row.dlt);
        }
        assert_eq!(LinkType::from_name("DLT_"), None);
        assert_eq!(LinkType::from_name(""), None);
        assert_eq!(LinkType::from_name("\u{e9}\u{e9}\u{e9}"), None);
        assert_eq!(LinkType(9999).to_string(), "9999");
        assert_eq!(LinkType::from_file_number(12), LinkType::RAW);
        assert_eq!(LinkType::RAW.0, 101);
    }

    /// tcpdump names the link type of a file that it opens: an independent list.
    #[test]
    fn tcpdump_prints_the_same_names() {
        for row in LINK_TYPES {
            let Some(said) = tcpdump_banner(row.link.0) else {
                println!("SKIPPED: tcpdump is not installed");
                return;
            };
            let expected = format!("link-type {} ({})", row.name, row.description);
            assert_eq!(said.contains(&expected), row.in_libpcap_1_10, "{} against tcpdump's {said}", row.name);
        }
    }

    /// What `tcpdump -r` says on standard error about an empty file of a link type.
    fn tcpdump_banner(link: u16) -> Option<String> {
        let mut child = Command::new("tcpdump")
            .args(["-n", "-r", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut header = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
        header.extend_from_slice(&u32::from(link).to_le_bytes());
        child.stdin.take()?.write_all(&header).ok()?;
        let out = child.wait_with_output().ok()?;
        Some(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}
