// Declarations of what LibTorch's ProcessGroupGloo.hpp names of gloo, whose headers no LibTorch
// package brings. c10d holds these objects by pointer alone, so no layout is assumed. Searched after
// all other folders (-idirafter): where gloo's own headers are installed, they are taken.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
