/* Any bytes as the request of any method: past the gate it unpacks within its budget, and what was
 * counted is given back. The first byte chooses the method. */
#include <assert.h>

#include "bary/v1/clustering_service.pb-c.h"
#include "bary/v1/dataset_service.pb-c.h"
#include "bary/v1/job_service.pb-c.h"
#include "bary/v1/model_service.pb-c.h"
#include "bary/v1/server_service.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "rpc/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const requests[] = {
#define METHOD(service, method, kind, request, permission, track, handler) &request##__descriptor,
#include "rpc/methods.def"
#undef METHOD
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack_budget budget = {.most = 64 << 20};
    struct request request = {0};
    struct error error = {0};

    if (size == 0)
        return 0;
    if (request_unpack(&budget, requests[data[0] % (sizeof requests / sizeof requests[0])],
                       data + 1, size - 1, &request, &error) == STATUS_OK)
        request_free(&request);
    assert(budget.used == 0);
    return 0;
}
