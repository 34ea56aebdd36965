# What every target of Bary is compiled with, and how a library is declared.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # __int128
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)

# An answer may not depend on the compiler: no contraction, no reassociation, fma is one instruction.
add_library(bary_flags INTERFACE)
target_include_directories(bary_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(bary_flags INTERFACE _GNU_SOURCE BARY_VERSION="${PROJECT_VERSION}")
target_compile_options(bary_flags INTERFACE
    -ffp-contract=off -fno-math-errno -fvisibility=hidden -fstack-protector-strong
    $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
        -Wpointer-arith -Wvla -Wwrite-strings -Wformat=2 -Wundef -Wno-pedantic -Wno-unknown-pragmas>)
# gcc 12 folds (double)(float)x to x when it packs such conversions into one vector: a rounding lost.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(bary_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-fno-tree-slp-vectorize>)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(bary_flags INTERFACE -march=x86-64-v3)
endif()
if(BARY_WERROR)
    target_compile_options(bary_flags INTERFACE -Werror)
endif()
if(BARY_FAULTS)
    target_compile_definitions(bary_flags INTERFACE BARY_FAULTS)
endif()
if(BARY_SANITIZE) # a finding names lines; more is a fifth of the compiler's time, and of the linker's
    target_compile_options(bary_flags INTERFACE -g1)
endif()
if(BARY_SANITIZE STREQUAL "address")
    target_compile_options(bary_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(bary_flags INTERFACE -fsanitize=address,undefined)
elseif(BARY_SANITIZE STREQUAL "thread")
    target_compile_options(bary_flags INTERFACE -fsanitize=thread)
    target_link_options(bary_flags INTERFACE -fsanitize=thread)
elseif(BARY_SANITIZE)
    message(FATAL_ERROR "BARY_SANITIZE is '${BARY_SANITIZE}'; known are address, thread")
endif()

# Hundreds of programs of tests are linked: gold takes a quarter of the time. (A library of gold's exports the
# ends of its sections.)
find_program(BARY_GOLD ld.gold)
mark_as_advanced(BARY_GOLD)
if(BARY_SANITIZE AND BARY_GOLD)
    target_link_options(bary_flags INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-fuse-ld=gold>)
endif()

# bary_library(NAME FOLDERS a b LINKS x y): one library of all .c files of its folders.
function(bary_library name)
    cmake_parse_arguments(arg "" "" "FOLDERS;LINKS" ${ARGN})
    set(files "")
    foreach(folder ${arg_FOLDERS})
        file(GLOB found CONFIGURE_DEPENDS ${folder}/*.c)
        list(APPEND files ${found})
    endforeach()
    add_library(${name} STATIC ${files})
    target_link_libraries(${name} PUBLIC bary_flags ${arg_LINKS})
endfunction()
