// Tasks, as lines of an iterator.
BPF_ITER(task)
{
    struct seq_file *seq = ctx->meta->seq;
    struct task_struct *task = ctx->task;

    if (task)
        BPF_SEQ_PRINTF(seq, "%d %s\n", task->pid, task->comm);
    return 0;
}
