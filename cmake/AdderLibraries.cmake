# One copy of every room in a process. Symbols are looked up across the libraries, so none links a room that
# another holds.

# libadder.so: every room above the LibTorch line and the verbs that need no LibTorch.
add_library(adder SHARED)
adder_link_rooms(adder room_cli)
set_target_properties(adder PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")

# bin/adder: a thin program on it.
add_executable(adder_program ${CMAKE_SOURCE_DIR}/src/adder/cli/main.cpp ${CMAKE_SOURCE_DIR}/src/adder/cli/line_editor.cpp)
target_link_libraries(adder_program PRIVATE adder adder_flags adder::libedit)
set_target_properties(adder_program PROPERTIES OUTPUT_NAME adder)
if(TARGET adder_cli_test)
  add_dependencies(adder_cli_test adder_program)
  target_compile_definitions(adder_cli_test PRIVATE ADDER_PROGRAM="$<TARGET_FILE:adder_program>")
endif()

if(ADDER_TORCH)
  # libadder_ops.so: the operators alone, for torch.ops.load_library in Python.
  add_library(adder_ops SHARED)
  target_link_libraries(adder_ops PRIVATE room_ops adder)
  adder_use_torch(adder_ops)

  # libadder_train.so: what stands on LibTorch, verbs included; opened when such a verb runs.
  add_library(adder_train SHARED)
  target_link_libraries(adder_train PRIVATE room_nn room_train room_eval room_cli_torch adder adder_ops)
  target_link_options(adder_train PRIVATE LINKER:--no-as-needed)  # adder_ops is needed to register
  adder_use_torch(adder_train)
  add_dependencies(adder_program adder_train)

  # libadder_train_cuda.so: what touches LibTorch's CUDA side; opened when a device is to train.
  if(ADDER_HAS_CUDA AND TARGET adder::torch_cuda)
    add_library(adder_train_cuda SHARED ${CMAKE_SOURCE_DIR}/src/adder/train/train_cuda.cpp
                                        ${CMAKE_SOURCE_DIR}/src/adder/train/train_cuda_products.cpp)
    target_include_directories(adder_train_cuda PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
    target_link_libraries(adder_train_cuda PRIVATE adder_flags adder::torch_cuda)
    adder_use_torch(adder_train_cuda)
  endif()
endif()
