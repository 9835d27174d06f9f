# `cmake --install`: bin/adder, lib/libadder*.so, the rooms' public headers, and a package for
# find_package(adder), which gives adder::adder. Run paths are relative, so that the tree may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(adder INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>
                                           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(adder INTERFACE nlohmann_json::nlohmann_json)  # seen in io/json.h
target_compile_features(adder INTERFACE cxx_std_20)
install(TARGETS adder EXPORT adderTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

# What a build has of these depends on its options; the libraries but libadder are opened, not linked.
foreach(target adder_program adder_train adder_ops adder_cuda adder_train_cuda)
  if(TARGET ${target})
    install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
                              LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
if(TARGET adder_program)
  file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(adder_program PROPERTIES
    BUILD_RPATH "$ORIGIN/../lib" INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
endif()

foreach(room IN LISTS ADDER_ROOMS_FREE)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/adder/${room}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/adder
          FILES_MATCHING PATTERN "*.h"
          PATTERN "cpu" EXCLUDE PATTERN "ref" EXCLUDE PATTERN "cuda" EXCLUDE PATTERN "test_*" EXCLUDE)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/adder)
install(EXPORT adderTargets NAMESPACE adder:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/adderConfig.cmake.in
  ${CMAKE_BINARY_DIR}/adderConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/adderConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/adderConfig.cmake ${CMAKE_BINARY_DIR}/adderConfigVersion.cmake
        DESTINATION ${package_dir})
