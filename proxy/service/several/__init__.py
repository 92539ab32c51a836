"""Several processes that serve viewers at one address, and the one that starts them and speaks for them.

    parent ──► opens the sockets, starts and restarts workers, and answers administrators
      └─► fork server ──► forks each worker, so that they share what the program takes before it serves
            ├─► worker 0 ─┐  each accepts connections, and hands one to the worker that keeps the
            └─► worker 1 ─┘  study of its next request, together with the bytes that it has read

A worker lives through these states. The parent tells all workers which of them are live.

    starting ──► ready ──► live ──► leaving (another one takes its place) or ending (all end) ──► gone
"""
