# Built in one stage, run in another: no npm, no sources, no root.
FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/node node_modules/node-bin-*

FROM node:24-trixie-slim
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack
ENV NODE_ENV=production SLUICE_DATA_DIR=/data SLUICE_LOG_FORMAT=json
WORKDIR /app
COPY --from=build --chown=node:node /app/node_modules node_modules
COPY --from=build --chown=node:node /app/bin bin
COPY --from=build --chown=node:node /app/dist dist
COPY --from=build --chown=node:node /app/package.json /app/rules.yaml ./
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 1883 8883 8080
# Node itself is process 1 and gets the signals; `docker run --init` is not needed, as it starts no other process.
ENTRYPOINT ["node", "bin/sluice.js"]
CMD ["start"]
