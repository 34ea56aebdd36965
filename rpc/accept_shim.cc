// accept_shim.cc - the only C++ of the daemon. An address "external:NAME" makes gRPC leave a handler
// of this class; no installed header declares it. Its layout is the first thing that a newer gRPC
// may change: a test serves a call through it.
#include <grpc/byte_buffer.h>

namespace grpc_core
{
class TcpServerFdHandler
{
  public:
    virtual ~TcpServerFdHandler() = default;
    virtual void Handle(int listener_fd, int fd, grpc_byte_buffer *pending) = 0;
};
} // namespace grpc_core

extern "C" void accept_hand_over(void *handler, int listener_fd, int fd)
{
    static_cast<grpc_core::TcpServerFdHandler *>(handler)->Handle(listener_fd, fd, nullptr);
}
