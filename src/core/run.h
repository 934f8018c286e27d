// The way in for whoever has an operation to do: picks the kernel, and how to go about it.

#pragma once

#include "kernels.h"

namespace leaky {

// Takes the best kernels up to `cap`, as choose() does, and the number of threads from the environment. Call it first.
void configure(const std::string& cap);

const InstructionSet& instruction_set();

// Does it, whatever the caller's floating-point environment, which is left as it was.
void run(Operation op, Type type, Run run);

}  // namespace leaky
