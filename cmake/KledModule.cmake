# Every target of kled gets these; nothing else sets compiler flags.
add_library(kled_options INTERFACE)
target_include_directories(kled_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(kled_options INTERFACE
  -pthread -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # What GCC 12 thinks it sees in optimised coroutines and strings. The presets for development still look.
  target_compile_options(kled_options INTERFACE -Wno-mismatched-new-delete -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
endif()
# Asio's and Beast's non-template halves are compiled once, in net/boost.cc and base/asio.cc.
target_compile_definitions(kled_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED GIT_DEPRECATE_HARD
  $<TARGET_PROPERTY:Boost::json,INTERFACE_COMPILE_DEFINITIONS>)
target_include_directories(kled_options SYSTEM INTERFACE ${Boost_INCLUDE_DIRS})
target_link_libraries(kled_options INTERFACE Threads::Threads)

# What nearly every file includes, compiled once: half of the time that a build takes. Not in the presets
# `dev` and `fuzz`, so that a header somebody forgot to include is noticed.
option(KLED_PCH "Precompile the headers of Boost, GoogleTest and the standard library" OFF)
if(KLED_PCH)
  set(common_headers <algorithm> <chrono> <filesystem> <functional> <map> <memory> <optional> <set> <string>
    <unordered_map> <vector> <boost/asio/awaitable.hpp> <boost/json.hpp>)
  add_library(kled_pch OBJECT ${CMAKE_CURRENT_LIST_DIR}/pch.cc)
  target_link_libraries(kled_pch PRIVATE kled_options)
  target_precompile_headers(kled_pch PRIVATE ${common_headers})
  if(BUILD_TESTING)
    # Of its own: programs are position-independent in another way (-fPIE) than libraries (-fPIC).
    add_library(kled_test_pch OBJECT ${CMAKE_CURRENT_LIST_DIR}/pch.cc)
    set_target_properties(kled_test_pch PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(kled_test_pch PRIVATE -fPIE)
    target_link_libraries(kled_test_pch PRIVATE kled_options GTest::gmock GTest::gtest_main)
    target_precompile_headers(kled_test_pch PRIVATE ${common_headers} <gtest/gtest.h>)
  endif()
endif()
function(kled_precompiled target source)
  if(KLED_PCH)
    target_precompile_headers(${target} REUSE_FROM ${source})
  endif()
endfunction()

# kled_module(edge SOURCES outbox.cc TESTS outbox_test.cc DEPS kled::base)
#   kled::<name>        the library; it may include only its DEPS
#   kled_<name>_tests   its unit tests, one ctest entry per TEST
# A test finds its golden cases below KLED_SOURCE_DIR.
function(kled_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;TESTS;DEPS;PRIVATE_DEPS")
  add_library(kled_${name} STATIC ${arg_SOURCES})
  add_library(kled::${name} ALIAS kled_${name})
  target_link_libraries(kled_${name} PUBLIC kled_options ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  kled_precompiled(kled_${name} kled_pch)
  if(BUILD_TESTING AND arg_TESTS)
    kled_test(${name} LABEL unit SOURCES ${arg_TESTS} DEPS kled_${name} ${arg_PRIVATE_DEPS})
  endif()
endfunction()

# kled_test(api LABEL integration SOURCES api_test.cc DEPS kled::apiserver)   →   kled_api_tests
function(kled_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;DEPS")
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(kled_${name}_tests ${arg_SOURCES})
  target_link_libraries(kled_${name}_tests PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  kled_precompiled(kled_${name}_tests kled_test_pch)
  # Tests run in the root of the tree: nothing compiled says where it lies, so ccache serves any clone.
  target_compile_definitions(kled_${name}_tests PRIVATE KLED_SOURCE_DIR=".")
  gtest_discover_tests(kled_${name}_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
endfunction()

# kled_program(kled-agent SOURCES agent_main.cc DEPS kled::edge_agent)   →   bin/kled-agent
function(kled_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE kled_options ${arg_DEPS})
  # Only what a program uses becomes NEEDED: kled-agent must not pull in libgit2.
  target_link_options(${name} PRIVATE -Wl,--as-needed -Wl,--gc-sections)
endfunction()
