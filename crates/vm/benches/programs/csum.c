/* The checksum of the Internet (RFC 1071) over all 32-bit words of the packet, each access with its own bounds check. */
#include "bench.h"

PROGRAM
{
	u64 sum = 0;

	for (u32 word = 0; word < 512; word++) {
		if (data + 4 > end)
			break;
		sum += *(const u32 *)data;
		data += 4;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(u32)sum & 0xffff;
}
