# LibTorch as one imported target, adder::torch: libtorch_cpu, libc10 and their headers.
#
# Not find_package(Torch): that fails without a CUDA toolkit, and with one drags in libtorch_cuda and cuDNN.
# The folder is the one that scripts/fetch-libtorch lays: torch/lib, torch/include, nvidia/cu13/lib.
# libtorch_cpu itself finds libcudart and libcupti there, by its own run path.
#
#   adder_room(ops UNITY DEPENDS room_kernels adder::torch)   what a room that sees LibTorch says
#   adder_use_torch(adder_train)                              what a library or program of such rooms says
set(found "${ADDER_LIBTORCH_DIR}")
if(NOT found)
  if(DEFINED ENV{ADDER_CACHE})
    set(found "$ENV{ADDER_CACHE}/libtorch-2.11.0")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(found "$ENV{XDG_CACHE_HOME}/adder/libtorch-2.11.0")
  else()
    set(found "$ENV{HOME}/.cache/adder/libtorch-2.11.0")
  endif()
endif()
if(NOT EXISTS ${found}/torch/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch is not in ${found}.\n"
    "Run scripts/fetch-libtorch, or give its folder with -DADDER_LIBTORCH_DIR=DIR, "
    "or build what needs no LibTorch with -DADDER_TORCH=OFF.")
endif()
set(ADDER_TORCH_LIB ${found}/torch/lib)

add_library(adder::c10 SHARED IMPORTED)
set_target_properties(adder::c10 PROPERTIES IMPORTED_LOCATION ${ADDER_TORCH_LIB}/libc10.so)
add_library(adder::torch SHARED IMPORTED)
set_target_properties(adder::torch PROPERTIES IMPORTED_LOCATION ${ADDER_TORCH_LIB}/libtorch_cpu.so)
target_include_directories(adder::torch INTERFACE
  ${found}/torch/include ${found}/torch/include/torch/csrc/api/include)
# at::parallel_for is a template: with OpenMP it runs on LibTorch's threads, without on the caller's.
target_link_libraries(adder::torch INTERFACE adder::c10 ${ADDER_TORCH_LIB}/libgomp.so.1)
target_link_options(adder::torch INTERFACE
  LINKER:-rpath-link,${ADDER_TORCH_LIB} LINKER:-rpath-link,${found}/nvidia/cu13/lib)

# LibTorch's CUDA side. What that stands on (cuBLAS, cuDNN, NCCL) need not be there to link with it.
if(EXISTS ${ADDER_TORCH_LIB}/libtorch_cuda.so)
  add_library(adder::torch_cuda INTERFACE IMPORTED)
  target_link_libraries(adder::torch_cuda INTERFACE adder::torch
    ${ADDER_TORCH_LIB}/libtorch_cuda.so ${ADDER_TORCH_LIB}/libc10_cuda.so)
  target_link_options(adder::torch_cuda INTERFACE LINKER:--no-as-needed LINKER:--allow-shlib-undefined)
endif()

# TARGET finds Adder's libraries beside itself and LibTorch where it was built with it.
function(adder_use_torch target)
  target_link_libraries(${target} PRIVATE adder::torch)
  set_target_properties(${target} PROPERTIES
    BUILD_RPATH "$ORIGIN;$ORIGIN/../lib" INSTALL_RPATH "$ORIGIN;$ORIGIN/../lib;${ADDER_TORCH_LIB}")
endfunction()
