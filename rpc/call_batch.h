/* call_batch.h - the operations of gRPC that a call needs, each under call.lock.
 *
 * Every function here adds one tag, which comes back through the completion queue, and marks in the
 * call what is under way. For call.c alone. */
#ifndef BARY_RPC_CALL_BATCH_H
#define BARY_RPC_CALL_BATCH_H

#include "rpc/call_core.h"

void batch_watch_close(struct call *call);
void batch_receive(struct call *call);
void batch_send(struct call *call, grpc_byte_buffer *message); /* takes it over */
void batch_end(struct call *call);                             /* with call->ending */

void ending_deinit(struct ending *ending);

#endif
