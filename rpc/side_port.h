/* side_port.h - HTTP on loopback, for machines that look after the server: /metrics, /livez, /readyz.
 *
 * One thread, at most 64 connections, each cut after 10 s of silence. */
#ifndef BARY_RPC_SIDE_PORT_H
#define BARY_RPC_SIDE_PORT_H

#include "rpc/service.h"

struct side_port;
/* `address` as for gRPC, without unix sockets; port 0 takes a free one. ADDRESS_REFUSED, ADDRESS_IN_USE. */
enum status side_port_start(const char *address, struct service *service, struct side_port **out,
                            struct error *error);
void side_port_stop(struct side_port **port);                /* NULL is fine */
const char *side_port_address(const struct side_port *port); /* with the real port */

#endif
