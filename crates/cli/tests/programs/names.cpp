// Functions with names of C++, and classes with bases and references.
namespace shop {
struct Base { long id; virtual ~Base() {} };
class Item : public Base {
public:
    int price;
    Item(long number, int cost) : price(cost) { id = number; }
    __attribute__((noinline)) int sell(int count) { __asm__ volatile("" ::: "memory"); return price * count; }
};
__attribute__((noinline)) int pay(const Item &item, int cash) { __asm__ volatile("" ::: "memory"); return cash - item.price; }
__attribute__((noinline)) int pay(int cash) { __asm__ volatile("" ::: "memory"); return cash; }
template <typename T> __attribute__((noinline)) T twice(T value) { __asm__ volatile("" ::: "memory"); return value + value; }
}
#include <unistd.h>
int main() {
    shop::Item item(17, 30);
    int sum = item.sell(2) + shop::pay(item, 100) + shop::pay(5) + shop::twice<int>(4) + (int)shop::twice<long>(8);
    usleep(300000);
    return sum == 1;
}
