/** An object with some of its members replaced: how a test puts itself between a part and its port. */
export function withMethods<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get: (object, name) => {
      const value = Reflect.get(name in over ? over : object, name, object);
      return typeof value === 'function' && !(name in over) ? value.bind(object) : value;
    },
  });
}
