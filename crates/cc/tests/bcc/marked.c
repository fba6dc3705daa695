// Arguments of a probe that a program of users marks, and the name of a file that was run, from behind its record.
struct query_t {
    u64 when;
    u32 tid;
    int length;
    char text[64];
};
BPF_HASH(queries, u32, struct query_t);
BPF_HASH(runs, u32, struct query_t);

int on_query(struct pt_regs *ctx)
{
    struct query_t query = { .tid = bpf_get_current_pid_tgid() };
    u64 text = 0;

    bpf_usdt_readarg(1, ctx, &text);
    bpf_usdt_readarg(2, ctx, &query.length);
    bpf_probe_read_user_str(query.text, sizeof(query.text), (void *)text);
    bpf_usdt_readarg_p(3, ctx, &query.when, sizeof(query.when));
    queries.update(&query.tid, &query);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct query_t run = { .tid = args->pid };

    TP_DATA_LOC_READ_STR(run.text, filename, sizeof(run.text));
    run.length = args->old_pid;
    runs.update(&run.tid, &run);
    return 0;
}
