/* Ethernet, IPv4 with options, TCP: what a filter of connections reads of each packet. */
#include "bench.h"

INLINE u16 big16(const u8 *at)
{
	return (u16)(at[0] << 8 | at[1]);
}

PROGRAM
{
	const u8 *ip = data + 14;
	const u8 *tcp;
	u32 header;

	if (ip + 20 > end || big16(data + 12) != 0x0800)
		return 0;
	header = (ip[0] & 15) * 4;
	if (ip[0] >> 4 != 4 || header < 20 || ip[9] != 6 || (big16(ip + 6) & 0x1fff) != 0)
		return 1;
	tcp = ip + header;
	if (tcp + 20 > end)
		return 3;
	if (tcp[12] >> 4 < 5 || (tcp[13] & 2) == 0)
		return 4;
	return (u32)big16(tcp) << 16 | big16(tcp + 2);
}
