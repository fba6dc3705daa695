// Places whose arguments have the kernel's types.
#include <linux/fs.h>

BPF_HASH(opened, u64, u64);

KFUNC_PROBE(vfs_open, const struct path *path, struct file *file)
{
    opened.increment(file->f_inode->i_ino);
    return 0;
}

KRETFUNC_PROBE(vfs_open, const struct path *path, struct file *file, int ret)
{
    if (ret < 0)
        opened.increment(0);
    return 0;
}

MODULE_KFUNC_PROBE(nf_tables, nft_do_chain, void *pkt)
{
    opened.increment(1);
    return 0;
}

MODULE_KRETFUNC_PROBE(nf_tables, nft_do_chain, void *pkt)
{
    opened.increment(2);
    return 0;
}

LSM_PROBE(file_open, struct file *file)
{
    return file->f_mode ? 0 : -EPERM;
}
