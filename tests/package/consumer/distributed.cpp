// Somebody else's program that wants process groups: what LibTorch's headers of them ask for is
// there. (They themselves take as long to compile as all else here.)
#include <gloo/algorithm.h>
#include <gloo/common/error.h>
#include <gloo/config.h>
#include <gloo/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/device.h>
#include <slotcon/train/process_environment.h>

#if !defined(USE_C10D_GLOO) || !__has_include(<slotcon/train/process_group.h>)
#error "slotcon::distributed lacks its definitions or its headers"
#endif

bool is_one_of_several() { return slotcon::process_environment().has_value(); }
